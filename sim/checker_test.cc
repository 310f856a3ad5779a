// The checker against histories written by hand: a good one, and one for each way to break a rule.
#include "sim/checker.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/prng.h"

namespace qkms::sim {
namespace {

const KmeId kA = *KmeId::parse("KME-A");
const KmeId kB = *KmeId::parse("KME-B");
const SaeId kMaster = *SaeId::parse("master");
const SaeId kSlave = *SaeId::parse("slave");
const SaeId kOther = *SaeId::parse("other");

KeyId key_id(std::uint8_t number) {
  KeyId::Bytes bytes{};
  bytes[15] = number;
  return KeyId(bytes);
}

SecretBytes join(const SecretBytes& a, const SecretBytes& b) {
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

TEST_F(Checker, FindsNothingInAGoodHistory) { expect_none(); }

TEST_F(Checker, FollowsAKeyOverSeveralRanges) {
  history_.calls.push_back(get_key({3}, join(device(128, 21), device(400, 11))));
  expect_none();
}

// --- once ----------------------------------------------------------------------------------------

TEST_F(Checker, FindsBitsInTwoKeys) {
  history_.calls.push_back(get_key({3}, device(88, 32)));
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsAKeyThatIsAlsoAPad) {
  history_.pads.push_back({kA, kB, device(40, 32)});
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsAKeyIdThatWasGivenOutTwice) {
  history_.calls.push_back(get_key({1}, device(128, 32)));
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsAKeyThatNoDeviceMade) {
  SecretBytes made_up(32);
  Prng(8).fill(made_up.reveal_mutable());
  history_.calls.push_back(get_key({3}, std::move(made_up)));
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsAMacKeyInAKey) {
  history_.calls.push_back(get_key({3}, join(device(0, 16), device(200, 16))));
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsDeviceBitsOnTheWire) {
  const SecretBytes clear = device(300, 32);
  history_.padded.push_back({kA, kB, {clear.reveal().begin(), clear.reveal().end()}});
  expect(Rule::kOnce);
}

TEST_F(Checker, FindsTwoTagsUnderOneMacKey) {
  history_.tags = {{{}, BlockId(), {1}}, {{}, BlockId(), {1}}};
  expect_none();
  history_.tags.push_back({{}, BlockId(), {2}});
  expect(Rule::kOnce);
}

// --- same ----------------------------------------------------------------------------------------

TEST_F(Checker, FindsOtherBitsAtTheSlave) {
  history_.calls.push_back(fetch(kSlave, {2}, device(65, 32), 300));
  expect(Rule::kSame);
}

TEST_F(Checker, FindsAnotherNumberOfKeysThanAskedFor) {
  history_.calls.push_back(get_key({3}, device(128, 32)));
  history_.calls.back().number = 2;
  expect(Rule::kSame);
}

TEST_F(Checker, FindsAnAnswerWithOtherKeysThanAskedFor) {
  history_.calls.push_back(fetch(kSlave, {2}, device(64, 32), 300));
  history_.calls.back().asked = {key_id(9)};
  expect(Rule::kSame);
}

// --- entitled ------------------------------------------------------------------------------------

TEST_F(Checker, FindsADeliveryToTheWrongSae) {
  history_.calls.push_back(fetch(kOther, {2}, device(64, 32), 300));
  expect(Rule::kEntitled);
}

TEST_F(Checker, FindsASecondDelivery) {
  history_.calls.push_back(fetch(kSlave, {1}, device(32, 32), 300));
  expect(Rule::kEntitled);
}

TEST_F(Checker, FindsADeliveryAfterExpiry) {
  history_.calls.push_back(fetch(kSlave, {2}, device(64, 32), 20'000));
  expect(Rule::kEntitled);
  history_.expiry_exact = false;
  expect_none();
}

TEST_F(Checker, FindsADeliveryThatNoMasterKnowsOf) {
  history_.calls.push_back(fetch(kSlave, {9}, device(200, 32), 300));
  expect(Rule::kEntitled);
}

TEST_F(Checker, FindsAKeyForAPairThatIsNotAllowed) {
  history_.allowed.erase({kMaster, kSlave});
  history_.probes.clear();
  expect(Rule::kEntitled);
}

// --- durable, there ------------------------------------------------------------------------------

TEST_F(Checker, FindsAPromisedKeyRefused) {
  for (const Answer answer : {Answer::kNotFound, Answer::kDenied}) {
    history_.calls.push_back(refused({2}, answer, 300));
    expect(Rule::kThere);
    history_.calls.pop_back();
  }
}

TEST_F(Checker, CallsItDurableWhenTheKmeFellInBetween) {
  history_.calls.push_back(refused({2}, Answer::kNotFound, 300));
  history_.crashes.push_back({kB, 200});
  expect(Rule::kDurable);
}

TEST_F(Checker, AcceptsRefusalsThatHaveAReason) {
  history_.calls.push_back(refused({1}, Answer::kNotFound, 300));     // fetched before
  history_.calls.push_back(refused({1, 2}, Answer::kNotFound, 300));  // one of them was
  history_.calls.push_back(refused({9}, Answer::kNotFound, 300));     // nobody knows it
  history_.calls.push_back(refused({2}, Answer::kNotFound, 10'099));  // expires meanwhile
  history_.calls.push_back(refused({2}, Answer::kRetry, 300));        // try again
  history_.calls.push_back(refused({2}, Answer::kUnknown, 400));      // may have taken it
  history_.calls.push_back(refused({2}, Answer::kNotFound, 500));
  expect_none();
}

TEST_F(Checker, FindsARefusalWithoutEnd) {
  history_.calls.push_back(refused({2}, Answer::kRetry, 6000));
  expect(Rule::kThere);
}

// --- what operators take away --------------------------------------------------------------------

Absence absence(AbsenceKind kind, const KmeId& kme, Millis from, Millis to) {
  return {kind, kme, kind == AbsenceKind::kSae ? kSlave : SaeId(), kind == AbsenceKind::kSae ? KmeId() : kA, from, to};
}

TEST_F(Checker, AcceptsRefusalsWhileAKmeDoesNotKnowTheSaeOrThePeer) {
  for (const AbsenceKind kind : {AbsenceKind::kSae, AbsenceKind::kPeer}) {
    history_.absences = {absence(kind, kB, 250, 350)};
    history_.calls.push_back(refused({2}, Answer::kNotFound, 300));
    expect_none();
    history_.calls.back() = refused({2}, Answer::kDenied, 340);
    expect_none();
    history_.calls.pop_back();
  }
}

TEST_F(Checker, FindsAKeyThatIsGoneWhenThePeerIsBack) {
  history_.absences = {absence(AbsenceKind::kSae, kB, 210, 250), absence(AbsenceKind::kPeer, kB, 210, 250),
                       absence(AbsenceKind::kSae, kA, 210, 400), absence(AbsenceKind::kLink, kB, 210, 400)};
  history_.calls.push_back(refused({2}, Answer::kNotFound, 300));
  expect(Rule::kThere);
}

TEST_F(Checker, FindsServiceForAnSaeThatIsTakenAway) {
  history_.absences = {absence(AbsenceKind::kSae, kB, 199, 251)};
  expect(Rule::kEntitled);
  history_.absences.front().from = 200;  // perhaps it had asked a moment before
  expect_none();
}

TEST_F(Checker, FindsServiceTowardsAPeerThatIsTakenAway) {
  history_.absences = {absence(AbsenceKind::kPeer, kA, 50, 400)};
  history_.absences.front().peer = kB;
  expect(Rule::kEntitled);
}

// --- limited -------------------------------------------------------------------------------------

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
