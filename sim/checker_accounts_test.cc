// The checker against histories whose accounts do not add up, and stores that were put back.
#include <algorithm>

#include "sim/checker_case.h"

namespace qkms::sim {
namespace {

// Key 2 was promised at 150 ms, and is asked for at 300.
TEST_F(Checker, ExcusesAKeyThatWasBurnedInAPutBackAndNoOther) {
  history_.calls.push_back(refused({2}, Answer::kNotFound, 300));
  history_.put_backs = {{kB, 50, 210, 220}};
  expect_none();
  history_.put_backs = {{kB, 50, 310, 320}};  // while the request was under way
  expect_none();
  history_.put_backs = {{kB, 50, 360, 370}};  // later
  expect(Rule::kThere);
  history_.put_backs = {{kB, 50, 80, 90}};  // over before the key was made
  expect(Rule::kThere);
  history_.put_backs = {{kA, 90, 210, 220}};  // its issuer has forgotten that it gave it out
  expect_none();
  history_.put_backs = {{kA, 160, 210, 220}};  // it has not
  expect(Rule::kThere);
}

TEST_F(Checker, ExcusesNothingThatIsGivenTwice) {
  history_.put_backs = {{kB, 150, 260, 270}};
  history_.calls.push_back(fetch(kSlave, {1}, device(32, 32), 300));
  expect(Rule::kEntitled);
  history_.calls.pop_back();
  history_.calls.push_back(get_key({3}, device(88, 32), 300));
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsAPutBackThatIsNeverNoticed) {
  history_.put_backs = {{kB, 150, 260, {}}};
  expect(Rule::kLive);
}

TEST_F(Checker, ExcusesPairsThatStartAfreshUntilTheyHaveAgreedWithoutWhatWasForgotten) {
  history_.pair_events = {{PairEventKind::kAgreed, 3, kA, kB}, {PairEventKind::kAgreed, 3, kB, kA}};
  history_.put_backs = {{kB, 5, 10, 20}};
  history_.pair_events.push_back({PairEventKind::kAgreed, 21, kA, kB});  // by a Hello from before
  history_.pair_events.push_back({PairEventKind::kReset, 22, kB, kA});
  history_.pair_events.push_back({PairEventKind::kReset, 23, kA, kB});
  expect_none();
  history_.pair_events.push_back({PairEventKind::kAgreed, 30, kB, kA});
  history_.pair_events.push_back({PairEventKind::kReset, 40, kA, kB});
  expect(Rule::kSteady);
}

TEST_F(Checker, ComparesWhatCameInOnlyWhereNobodyHasForgotten) {
  history_.accounts[0].in += 8;
  history_.accounts[0].burned += 8;
  expect(Rule::kAccounted);
  history_.put_backs = {{kB, 5, 10, 20}};
  expect_none();
  history_.accounts[0].available_own += 8;
  history_.accounts[0].burned -= 8;
  expect(Rule::kAccounted);
}

// --- accounted, steady, live ---------------------------------------------------------------------

TEST_F(Checker, FindsBitsThatAreInNoColumn) {
  history_.accounts[0].burned -= 8;
  expect(Rule::kAccounted);
}

TEST_F(Checker, FindsBitsInFlightAtTheEnd) {
  history_.accounts[0].burned -= 8;
  history_.accounts[0].in_flight += 8;
  expect(Rule::kAccounted);
}

TEST_F(Checker, FindsBitsHeldForKeysThatAreNoMore) {
  history_.accounts[1].held += 8;
  history_.accounts[1].burned -= 8;
  expect_none();
  history_.accounts[1].held -= 8 + 256;
  history_.accounts[1].burned += 8 + 256;
  history_.all_expired = true;
  expect_none();
  history_.accounts[1].held += 8;
  history_.accounts[1].burned -= 8;
  expect(Rule::kAccounted);
}

TEST_F(Checker, FindsAnAuditLogThatDoesNotTellOfAllBurns) {
  history_.accounts[0].burned_in_audit = history_.accounts[0].burned;
  expect_none();
  history_.accounts[0].burns_without_reason = 1;
  expect(Rule::kAccounted);
  history_.accounts[0].burns_without_reason = 0;
  *history_.accounts[0].burned_in_audit += 8;
  expect(Rule::kAccounted);
}

TEST_F(Checker, FindsEndsThatDisagree) {
  const auto move = [&](std::uint64_t Account::* column) {
    history_.accounts[0].*column += 8;
    history_.accounts[0].burned -= 8;
    expect(Rule::kAccounted);
    history_.accounts[0].*column -= 8;
    history_.accounts[0].burned += 8;
  };
  move(&Account::macs);
  move(&Account::quarantined);
  move(&Account::available_own);
  move(&Account::available_peer);
  history_.accounts[0].in += 8;
  history_.accounts[0].burned += 8;
  expect(Rule::kAccounted);
}

TEST_F(Checker, FindsAPairThatForgot) {
  history_.pair_events = {
      {PairEventKind::kReset, 1, kA, kB}, {PairEventKind::kReset, 2, kB, kA}, {PairEventKind::kAgreed, 3, kA, kB}};
  expect_none();
  history_.pair_events.push_back({PairEventKind::kReset, 4, kB, kA});
  expect(Rule::kSteady);
}

TEST_F(Checker, FindsAnAlarm) {
  history_.alarms.push_back({1, kA, "a row cannot be read"});
  expect(Rule::kSteady);
}

TEST_F(Checker, FindsKmesThatFindThatTheyDiffer) {
  history_.divergences.push_back({1, kA, "accounts_differ: this KME has more"});
  expect(Rule::kAgreed);
}

TEST_F(Checker, FindsAWorldThatDoesNotSettle) {
  history_.quiet_since.reset();
  expect(Rule::kLive);
}

TEST_F(Checker, FindsKmesOutOfStep) {
  history_.accounts[1].waiting_messages = 1;
  expect(Rule::kLive);
}

TEST_F(Checker, FindsAPairWithoutKeys) {
  history_.probes.front().answer = Answer::kRetry;
  expect(Rule::kLive);
}

}  // namespace
}  // namespace qkms::sim
