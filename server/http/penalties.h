// Addresses whose TLS handshakes fail again and again: for a while, their connections are closed before they cost a
// handshake. Honest clients do not fail, so this hits nobody else, unless they share an address with who does.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace qkms::server::http {

// Thread rule: any thread. Limits: kMostAddresses are remembered; beyond, all are forgotten.
class Penalties {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr double kBurstSeconds = 10;
  static constexpr std::size_t kMostAddresses = 65'536;

  // How many failures a second an address is allowed, on average; 0: any number.
  void set_limit(std::uint32_t per_s) {
    const std::lock_guard lock(mutex_);
    per_s_ = per_s;
    if (per_s == 0) by_address_.clear();
  }

  void failed(const std::string& address, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (per_s_ == 0) return;
    if (by_address_.size() >= kMostAddresses) by_address_.clear();
    Account& account = by_address_.try_emplace(address, Account{burst(), now}).first->second;
    refill(account, now);
    account.left = std::max(0.0, account.left - 1);
  }

  bool lets_in(const std::string& address, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    const auto found = by_address_.find(address);
    if (found == by_address_.end()) return true;
    refill(found->second, now);
    if (found->second.left >= burst())
      by_address_.erase(found);  // all is forgiven
    else if (found->second.left < 1)
      return false;
    return true;
  }

 private:
  struct Account {
    double left;  // failures until it is kept out
    Clock::time_point filled_at;
  };
  double burst() const { return per_s_ * kBurstSeconds; }
  void refill(Account& account, Clock::time_point now) const {
    const std::chrono::duration<double> passed = now - account.filled_at;
    account.left = std::min(burst(), account.left + passed.count() * per_s_);
    account.filled_at = now;
  }

  std::mutex mutex_;
  std::uint32_t per_s_ = 0;
  std::unordered_map<std::string, Account> by_address_;
};

}  // namespace qkms::server::http
