#include "kms/pair.h"

#include <algorithm>

#include <fmt/format.h>

#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

constexpr Millis kAskAgainAfterMs = 2000;
constexpr std::uint64_t kLeastWorthAsking = 1024;

}  // namespace

Pair::Pair(const Life& life, PeerRow row, const std::vector<ExtentRow>& extents, std::vector<OutboxRow> outbox,
           std::size_t cache_bytes)
    : channel(life, row, std::move(outbox)),
      reservoir(row.peer, row.ledger, row.next_extent, extents, cache_bytes),
      burned_in_audit_(row.ledger.burned) {
  if (row.peer_id_key != decltype(row.peer_id_key){}) learn_peer_ids();
  // Rows that no longer open were left out of the snapshot. What they said to the peer, or held for it, cannot be
  // rebuilt: start afresh.
  missing_ = reservoir.burn_missing();
  if (missing_ || !channel.outbox_is_whole())
    channel.forget_agreement({Divergence::kOwnRowsMissing, "rows of our store are missing or do not open"});
}

void Pair::learn_peer_ids() { peer_ids_.emplace(channel.row().peer_id_key); }

void Pair::burn_reservoir(Batch& batch) {
  batch.cause(peer(), "the pair starts afresh");
  reservoir.burn_all(channel.row().pair_epoch);
  asked_at_.reset();
  comparison_.forget();
}

Channel::Greeting Pair::greet(const api::Hello& theirs, Batch& batch) {
  const bool may = bits_available() == 0 || fresh_starts_.may_burn(batch.now);
  const auto greeting = channel.greet(theirs, may ? Channel::Afresh::kMay : Channel::Afresh::kMayNot, batch);
  if (greeting == Channel::Greeting::kMet || greeting == Channel::Greeting::kReset) start_afresh(greeting, batch);
  return greeting;
}

void Pair::start_afresh(Channel::Greeting greeting, Batch& batch) {
  const std::uint64_t bits = bits_available();
  burn_reservoir(batch);
  if (bits > 0) fresh_starts_.burned(batch.now);
  std::string text = fmt::format("pair epoch {}", channel.row().pair_epoch);
  if (greeting == Channel::Greeting::kMet) {
    batch.notice(NoticeKind::kPairMet, peer().str(), text);
  } else {
    const Finding& why = channel.reset_because();
    ++divergences_[static_cast<std::size_t>(why.kind)];
    text =
        fmt::format("{}: {}; all {} bits that were available are burned, {}", name_of(why.kind), why.text, bits, text);
    batch.notice(NoticeKind::kPairReset, peer().str(), text);
  }
  batch.audit({.action = api::AuditAction::kPairAfresh,
               .actor = channel.self().str(),
               .subject = peer().str(),
               .reason = std::move(text)});
}

void Pair::burn_what_is_stored(Batch& batch) {
  batch.cause(peer(), "our store was put back to an earlier state");
  burn_reservoir(batch);
  static_cast<void>(reservoir.burned_of_own());  // there is nobody left to tell
  if (!planted(Bug::kKeepKeysPutBack)) reservoir.move(reservoir.ledger().held / 8, &Ledger::held, &Ledger::burned);
  channel.leave_session("our store was put back", batch);
}

bool Pair::full(std::uint64_t capacity_bytes) const {
  const std::uint64_t ours = reservoir.available(Owner::kSelf);
  const std::uint64_t theirs = reservoir.available(Owner::kPeer);
  if (ours + theirs >= 2 * capacity_bytes) return true;
  return ours + theirs >= capacity_bytes && std::min(ours, theirs) >= capacity_bytes / 16;
}

void Pair::ask_when_low(Batch& batch) {
  const std::uint64_t ours = reservoir.available(Owner::kSelf);
  const std::uint64_t theirs = reservoir.available(Owner::kPeer);
  const bool waiting = asked_at_ && batch.now - *asked_at_ < kAskAgainAfterMs;
  if (!channel.open() || waiting || theirs < kLeastWorthAsking || ours >= theirs / 4) return;
  asked_at_ = batch.now;
  channel.post(api::ExtentRequest{(theirs - ours) / 2}, batch);
}

void Pair::handle(const api::ExtentRequest& request, Batch& batch) {
  const std::uint64_t most = reservoir.available(Owner::kSelf) / 2;
  auto given = reservoir.give(std::min(request.wanted_bytes, most));
  if (given.empty()) return;
  batch.notice(NoticeKind::kExtentsGiven, peer().str(), fmt::format("{} extents change hands", given.size()));
  channel.post(api::ExtentGive{std::move(given)}, batch);
}

void Pair::handle(const api::ExtentGive& give, Batch& batch) {
  asked_at_.reset();
  if (const auto received = reservoir.receive(give.extents); !received)
    channel.diverged({Divergence::kExtentDisputed, received.error().text}, batch);
}

void Pair::handle(const api::Burn& burn, Batch& batch) {
  batch.cause(peer(), "the peer burned them");
  if (const auto followed = reservoir.follow(burn.ranges, Purpose::kBurn, batch); !followed) {
    channel.diverged({Divergence::kRangeNotAtFront, followed.error().text}, batch);
  }
}

void Pair::burn_extents_of(std::uint64_t record, Batch& batch) {
  batch.cause(peer(), "the peer cannot read its copy");
  for (const Range& range : channel.ranges_assigned(record)) reservoir.burn_rest(range.extent);
}

// The ledger says how much, so that the log and the accounts cannot differ; whoever burned said why.
void Pair::audit_burns(Batch& batch) {
  const std::uint64_t burned = reservoir.ledger().burned;
  const std::uint64_t since = burned - std::exchange(burned_in_audit_, burned);
  if (since == 0) return;
  if (std::exchange(missing_, false)) batch.cause(peer(), "rows of the store are missing or do not open");
  auto causes = std::move(batch.causes[peer()]);
  std::ranges::sort(causes);
  const auto repeated = std::ranges::unique(causes);
  causes.erase(repeated.begin(), repeated.end());
  batch.audit({.action = api::AuditAction::kBurn,
               .actor = channel.self().str(),
               .subject = peer().str(),
               .bits = since,
               .reason = fmt::format("{}", fmt::join(causes, "; "))});
}

void Pair::announce_burns(Batch& batch) {
  if (auto burned = reservoir.burned_of_own(); !burned.empty()) channel.post(api::Burn{std::move(burned)}, batch);
}

// We say what we have to say before we close: the operator of the other end wants to see both sides, too.
void Pair::compare_accounts(Millis every_ms, Batch& batch) {
  const auto theirs = channel.take_accounts();
  const bool due = channel.accounts_due(every_ms, batch.now);
  if (!theirs && !due) return;
  const Owner leader = channel.self() < peer() ? Owner::kSelf : Owner::kPeer;
  const api::Accounts ours = accounts_of(reservoir, channel.row().sent, leader);
  std::optional<std::string> difference;
  if (theirs) {
    ++comparisons_;
    difference = comparison_.difference(ours, *theirs, peer());
  }
  if (due || difference) channel.tell(ours, batch);
  if (difference) channel.diverged({Divergence::kAccountsDiffer, *std::move(difference)}, batch);
}

ReservoirReport Pair::report() const {
  return {peer(),
          channel.open(),
          reservoir.ledger(),
          reservoir.available(Owner::kSelf) * 8,
          reservoir.available(Owner::kPeer) * 8,
          channel.outbox_size(),
          divergences_,
          comparisons_};
}

void Pair::flush(Millis compare_every_ms, Batch& batch) {
  compare_accounts(compare_every_ms, batch);
  audit_burns(batch);
  const bool ledger_changed = reservoir.flush(batch);
  channel.flush(ledger_changed, reservoir.ledger(), reservoir.next_extent(), batch);
}

}  // namespace qkms::kms
