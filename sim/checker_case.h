// A good history, written by hand, for tests of the checker to break.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/checker.h"
#include "sim/prng.h"

namespace qkms::sim {

inline const KmeId kA = *KmeId::parse("KME-A");
inline const KmeId kB = *KmeId::parse("KME-B");
inline const SaeId kMaster = *SaeId::parse("master");
inline const SaeId kSlave = *SaeId::parse("slave");
inline const SaeId kOther = *SaeId::parse("other");

inline KeyId key_id(std::uint8_t number) {
  KeyId::Bytes bytes{};
  bytes[15] = number;
  return KeyId(bytes);
}

inline SecretBytes join(const SecretBytes& a, const SecretBytes& b) {
  SecretBytes joined(a.size() + b.size());
  std::ranges::copy(a.reveal(), joined.reveal_mutable().begin());
  std::ranges::copy(b.reveal(), joined.reveal_mutable().begin() + static_cast<std::ptrdiff_t>(a.size()));
  return joined;
}

// KME-A's master got keys 1 and 2, 32 bytes each, and KME-B's slave fetched the first.
class Checker : public testing::Test {
 protected:
  Checker() {
    history_.linked = {{kA, kB}, {kB, kA}};
    history_.homes = {{kMaster, kA}, {kSlave, kB}, {kOther, kB}};
    history_.allowed = {{kMaster, kSlave}, {kMaster, kOther}};
    history_.key_life = 10'000;
    history_.quiet_since = 5000;
    DeviceBlock block;
    block.bits = SecretBytes(512);
    Prng(7).fill(block.bits.reveal_mutable());
    history_.blocks.push_back(std::move(block));
    history_.calls.push_back(get_key({1, 2}, device(32, 64)));
    history_.calls.push_back(fetch(kSlave, {1}, device(32, 32), 200));
    Account a{kA, kB, true, 512 * 8, 256, 0, 1000, 2000, 0, 0, 512, 0, 328, 0, 0, {}};
    Account b{kB, kA, true, 512 * 8, 256, 0, 2000, 1000, 0, 256, 256, 0, 328, 0, 0, {}};
    history_.accounts = {a, b};
    history_.probes.push_back({kMaster, kSlave, Answer::kKeys});
  }

  SecretBytes device(std::size_t offset, std::size_t size) const {
    return history_.blocks.front().bits.slice(offset, size);
  }

  static Call get_key(std::vector<std::uint8_t> numbers, SecretBytes bits, Millis time = 100) {
    Call call;
    call.kind = CallKind::kGetKey;
    call.start = time;
    call.end = time + 50;
    call.kme = kA;
    call.caller = kMaster;
    call.other = kSlave;
    call.number = static_cast<std::uint32_t>(numbers.size());
    call.size_bytes = 32;
    call.answer = Answer::kKeys;
    for (std::uint8_t number : numbers) call.ids.push_back(key_id(number));
    call.sizes.assign(numbers.size(), 32);
    call.bits = std::move(bits);
    return call;
  }

  static Call fetch(const SaeId& caller, std::vector<std::uint8_t> numbers, SecretBytes bits, Millis time) {
    Call call = get_key(numbers, std::move(bits), time);
    call.kind = CallKind::kFetch;
    call.kme = kB;
    call.caller = caller;
    call.other = kMaster;
    call.asked = call.ids;
    return call;
  }

  static Call refused(std::vector<std::uint8_t> numbers, Answer answer, Millis time) {
    Call call = fetch(kSlave, std::move(numbers), {}, time);
    call.answer = answer;
    call.ids.clear();
    call.sizes.clear();
    return call;
  }

  // Exactly one violation, of this rule.
  void expect(Rule rule) const {
    const auto violations = check(history_);
    ASSERT_EQ(violations.size(), 1u);
    EXPECT_EQ(violations.front().rule, rule) << name_of(violations.front().rule) << ": " << violations.front().text;
  }
  void expect_none() const {
    for (const Violation& violation : check(history_))
      ADD_FAILURE() << name_of(violation.rule) << ": " << violation.text;
  }

  History history_;
};

inline Absence absence(AbsenceKind kind, const KmeId& kme, Millis from, Millis to) {
  return {kind, kme, kind == AbsenceKind::kSae ? kSlave : SaeId(), kind == AbsenceKind::kSae ? KmeId() : kA, from, to};
}

}  // namespace qkms::sim
