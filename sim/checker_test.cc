// The checker against histories with a call or a piece of material that breaks a rule.
#include <algorithm>

#include "sim/checker_case.h"

namespace qkms::sim {
namespace {

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

}  // namespace
}  // namespace qkms::sim
