// The checker against histories that break quotas, rates, reserves and ages.
#include <algorithm>

#include "sim/checker_case.h"

namespace qkms::sim {
namespace {

TEST_F(Checker, FindsMoreThanTheQuota) {
  history_.pair_limits[{kMaster, kSlave}].keys_per_day = 2;
  history_.sae_limits[kMaster].bits_per_day = 512;
  expect_none();
  history_.sae_limits[kMaster].bits_per_day = 511;
  expect(Rule::kLimited);
  history_.sae_limits.clear();
  history_.pair_limits[{kMaster, kSlave}].keys_per_day = 1;
  expect(Rule::kLimited);
  history_.limits_until = 120;
  expect_none();
}

// 100 bits/s: 1000 at once, 10 more in 100 ms, and one request that may overdraw.
TEST_F(Checker, FindsMoreThanTheRate) {
  history_.sae_limits[kMaster].bits_per_s = 100;
  for (std::uint8_t i = 0; i < 2; ++i)
    history_.calls.push_back(get_key({static_cast<std::uint8_t>(10 + i)}, device(100 + 32 * i, 32)));
  expect_none();
  history_.calls.push_back(get_key({20}, device(300, 32)));
  expect_none();
  history_.calls.push_back(get_key({21}, device(340, 32)));
  expect(Rule::kLimited);
  history_.lives.push_back({kA, 125});  // an answer from over a crash belongs to neither life
  expect_none();
}

TEST_F(Checker, CountsForAnAdditionalSlaveToo) {
  history_.pair_limits[{kMaster, kOther}].keys_per_day = 1;
  history_.calls.push_back(get_key({3}, device(128, 32)));
  history_.calls.push_back(get_key({4}, device(160, 32)));
  history_.calls[2].additional = history_.calls[3].additional = {kOther};
  expect(Rule::kLimited);
}

TEST_F(Checker, FindsMoreAnswersThanTheRate) {
  history_.sae_limits[kMaster].requests_per_s = 1;
  for (int i = 0; i < 13; ++i) {
    history_.calls.push_back(get_key({}, {}));
    history_.calls.back().kind = CallKind::kStatus;
    history_.calls.back().answer = Answer::kStatus;
    if (i == 9) expect_none();
  }
  expect(Rule::kLimited);
}

// --- reserved ------------------------------------------------------------------------------------

class CheckerOfReserves : public Checker {
 protected:
  CheckerOfReserves() {
    history_.floors[{kMaster, kSlave}] = 200;
    history_.floors[{kMaster, kOther}] = 100;
    history_.levels.push_back({2, 1000, kA, kB, 400});
    ask(1100, Answer::kShort);
  }
  // For 128 bytes, which the pair may have beside the 32 that are not looked at too closely.
  void ask(Millis time, Answer answer) {
    history_.calls.push_back(get_key({}, {}, time));
    history_.calls.back().number = 4;
    history_.calls.back().answer = answer;
  }
};

TEST_F(CheckerOfReserves, FindAReserveThatIsNotThere) { expect(Rule::kReserved); }

TEST_F(CheckerOfReserves, AcceptThatThePairHasTakenIt) {
  history_.calls.back().answer = Answer::kRetry;  // perhaps taken and burned
  ask(1120, Answer::kShort);
  expect_none();
  history_.calls[2].answer = Answer::kShort;  // certainly not
  history_.calls.erase(history_.calls.begin() + 3);
  expect(Rule::kReserved);
}

TEST_F(CheckerOfReserves, AcceptThatTheFloorsWereNeverFull) {
  history_.levels.front().own_bytes = 310;
  expect_none();
}

TEST_F(CheckerOfReserves, AcceptThatBitsWentInAnotherWay) {
  history_.levels.push_back({2, 1050, kA, {}, std::nullopt});
  expect_none();
  history_.levels.push_back({2, 1060, kA, kB, 400});
  expect(Rule::kReserved);
}

TEST_F(CheckerOfReserves, AcceptThatItAskedForMoreThanItsFloor) {
  history_.calls.back().number = 6;
  expect_none();
}

// --- met -----------------------------------------------------------------------------------------

TEST_F(Checker, FindsBitsThatAreTooOld) {
  history_.calls.front().max_age = 50;
  history_.appended = {{kA, BlockId(), 60}, {kB, BlockId(), 10}};
  expect_none();
  history_.appended.push_back({kA, BlockId(), 49});
  expect(Rule::kMet);
}

TEST_F(Checker, FindsBitsOfUnknownAge) {
  history_.calls.front().max_age = 50;
  history_.appended = {{kA, BlockId(), 60}};
  history_.lives = {{kB, 80}, {kA, 55}};
  expect_none();
  history_.lives.push_back({kA, 61});
  expect(Rule::kMet);
}

TEST_F(Checker, FindsKeysThatCameAnotherWay) {
  history_.calls.front().route = Route::kDirect;
  expect_none();
  history_.linked.clear();
  expect(Rule::kMet);
  history_.calls.front().route = Route::kIndirect;
  expect_none();
  history_.linked = {{kA, kB}};
  expect(Rule::kMet);
  history_.absences = {absence(AbsenceKind::kLink, kA, 140, 400)};
  expect_none();
}

// --- stores that are put back --------------------------------------------------------------------

}  // namespace
}  // namespace qkms::sim
