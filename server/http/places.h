// Counts what is taken up, in all and by whom, and says no above the limits: connections by address, handshakes by
// address, connections by name.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace qkms::server::http {

// Thread rule: any thread.
class Places : public std::enable_shared_from_this<Places> {
 public:
  Places(std::size_t most, std::size_t most_of_one) : most_(most), most_of_one_(most_of_one) {}

  // Given back when it goes.
  class Place {
   public:
    Place(std::shared_ptr<Places> owner, std::string who) : owner_(std::move(owner)), who_(std::move(who)) {}
    Place(Place&& other) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (owner_) owner_->give_back(who_);
    }

   private:
    std::shared_ptr<Places> owner_;
    std::string who_;
  };

  std::optional<Place> take(const std::string& who) {
    const std::lock_guard lock(mutex_);
    if (taken_ >= most_) return std::nullopt;
    std::size_t& of_one = by_whom_[who];
    if (of_one >= most_of_one_) {
      if (of_one == 0) by_whom_.erase(who);
      return std::nullopt;
    }
    ++of_one;
    ++taken_;
    return std::optional<Place>(std::in_place, shared_from_this(), who);
  }

  // What is taken beyond them stays taken.
  void set_limits(std::size_t most, std::size_t most_of_one) {
    const std::lock_guard lock(mutex_);
    most_ = most;
    most_of_one_ = most_of_one;
  }

 private:
  void give_back(const std::string& who) {
    const std::lock_guard lock(mutex_);
    --taken_;
    if (--by_whom_[who] == 0) by_whom_.erase(who);
  }

  std::mutex mutex_;
  std::size_t most_, most_of_one_;
  std::size_t taken_ = 0;
  std::unordered_map<std::string, std::size_t> by_whom_;
};

}  // namespace qkms::server::http
