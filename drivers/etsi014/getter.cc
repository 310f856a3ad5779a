#include "drivers/etsi014/getter.h"

#include <fmt/format.h>
#include <poll.h>

#include <limits>

namespace qkms::drivers::etsi014 {
namespace {

constexpr Millis kFreshMs = 1'000;  // a status is good for so long, as long as it promises keys

}  // namespace

Result<void> Getter::run() {
  for (;;) {
    const auto next = step();
    wipe_traces();
    if (!next) return std::unexpected(next.error());
    if (*next == Next::kStop) return {};
  }
}

Result<Next> Getter::step() {
  got_some_ = false;
  if (offer_.available == 0 || now_ms() - asked_at_ > kFreshMs) {
    const auto asked = ask_status();
    if (!asked || *asked == Next::kStop) return asked;
  }
  if (offer_.available > 0 && !is_ahead()) {
    const auto got = get_some();
    if (!got || *got == Next::kStop) return got;
  }
  if (hear_notes() == Next::kStop) return Next::kStop;
  const bool is_due = draft_ && (draft_->room() == 0 || (draft_->is_enough() && now_ms() >= draft_until_));
  if (is_due && close_draft() == Next::kStop) return Next::kStop;
  return got_some_ ? Next::kGoOn : pause();
}

// Consumes nothing, so that a failure says only that the device cannot be worked with.
Result<Next> Getter::ask_status() {
  offer_.available = 0;
  asked_at_ = now_ms();
  const auto status = context_.device.status();
  if (!status && status.error().outcome == Outcome::kStopped) return Next::kStop;
  if (!status && status.error().outcome == Outcome::kBusy) return Next::kGoOn;
  if (!status) return end_with(status.error().error);
  if (!has_reported_ || status->oddity != oddity_) {
    has_reported_ = true;
    oddity_ = status->oddity;
    context_.host.report({.qber = {}, .rate_bps = {}, .alarm = oddity_});
  }
  const auto offer = offer_in(*status);
  if (!offer) return end_with(offer.error());
  if (draft_ && draft_->note().key_bytes != offer->key_bytes()) give_up_draft("the device offers keys of another size");
  offer_ = *offer;
  return Next::kGoOn;
}

Result<Getter::Offer> Getter::offer_in(const DeviceStatus& status) const {
  const Etsi014Settings& settings = context_.settings;
  const std::size_t most_bytes = settings.mode == Etsi014Mode::kPaired ? kMaxBlockBytes : settings.block_bytes;
  const std::uint64_t largest = std::min<std::uint64_t>(status.max_key_size_bits, most_bytes * 8) / 8 * 8;
  const std::uint64_t size = settings.key_size_bits != 0 ? settings.key_size_bits : largest;
  if (size < 8 || size < status.min_key_size_bits || size > status.max_key_size_bits)
    return fail(ErrorCode::kInvalid, fmt::format("keys of {} bits are wanted; the device offers {} to {}", size,
                                                 status.min_key_size_bits, status.max_key_size_bits));
  Offer offer;
  offer.size_bits = static_cast<std::uint32_t>(size);
  offer.per_request = std::min<std::size_t>(
      {status.max_key_per_request, kMaxKeysPerAnswer, std::max<std::size_t>(1, kMaxBlockBytes / offer.key_bytes())});
  offer.available = status.stored_key_count
                        ? std::uint64_t{*status.stored_key_count} * status.key_size_bits / offer.size_bits
                        : offer.per_request;
  return offer;
}

Result<Next> Getter::get_some() {
  const bool groups = context_.settings.end == Etsi014End::kLeads &&
                      (context_.settings.mode == Etsi014Mode::kPull || offer_.key_bytes() < kMinBlockBytes);
  if (groups && !draft_) draft_.emplace(offer_.key_bytes(), context_.settings.block_bytes);
  std::uint64_t number = std::min<std::uint64_t>(offer_.per_request, offer_.available);
  if (groups) number = std::min<std::uint64_t>(number, draft_->room());
  auto keys = context_.device.get(static_cast<std::size_t>(number), offer_.size_bits);
  if (keys) {
    offer_.available -= number;
    return take_in(std::move(*keys));
  }
  offer_.available = 0;
  return after(keys.error());
}

// What came before an answer that was lost is good; what came with a wrong one is not trusted.
Result<Next> Getter::after(const CallFailure& failure) {
  switch (failure.outcome) {
    case Outcome::kStopped:
      return Next::kStop;
    case Outcome::kBusy:
      return Next::kGoOn;
    case Outcome::kLost:
      context_.host.reject("keys are given up: " + failure.error.text);
      return Next::kGoOn;
    case Outcome::kWrong:
      context_.host.reject("a block is given up: " + failure.error.text);
      draft_.reset();
      return Next::kGoOn;
    case Outcome::kNotSent:
    case Outcome::kRefused:
      break;
  }
  return end_with(failure.error);
}

Result<Next> Getter::end_with(const Error& error) {
  if (draft_ && draft_->is_enough() && close_draft() == Next::kStop) return Next::kStop;
  if (draft_ && !draft_->empty()) give_up_draft("too few keys came before the device failed");
  return std::unexpected(error);
}

void Getter::give_up_draft(std::string_view why) {
  context_.host.reject(fmt::format("{} keys are given up: {}", draft_->note().ids.size(), why));
  draft_.reset();
}

Result<Next> Getter::take_in(std::vector<DeviceKey> keys) {
  for (const DeviceKey& key : keys) {
    if (context_.seen.add(key.id)) continue;
    return after({Outcome::kWrong, {ErrorCode::kCorrupt, "the device gave a key ID a second time"}});
  }
  got_some_ = true;
  backoff_.reset();
  for (DeviceKey& key : keys) {
    if (take_one(std::move(key)) == Next::kStop) return Next::kStop;
  }
  return Next::kGoOn;
}

Next Getter::take_one(DeviceKey key) {
  if (context_.settings.mode == Etsi014Mode::kPaired && key.bits.size() >= kMinBlockBytes)
    return context_.offer({BlockId(key.id.bytes()), std::move(key.bits)});
  if (context_.settings.end == Etsi014End::kFollows) {
    context_.kept.add(std::move(key));
    return Next::kGoOn;
  }
  if (draft_->empty()) draft_until_ = now_ms() + kGatherMs;
  draft_->add(key);
  return Next::kGoOn;
}

Next Getter::close_draft() {
  const BlockDraft draft = std::move(*draft_);
  draft_.reset();
  Block block = draft.block();
  if (context_.settings.mode == Etsi014Mode::kPull) told_.emplace(block.id, now_ms());
  context_.host.tell_twin(write_note(draft.note()));
  return context_.offer(std::move(block));
}

bool Getter::is_ahead() {
  if (told_.size() < kMaxAhead) return false;
  const Millis oldest = now_ms() - context_.settings.fetch_ms;
  std::erase_if(told_, [=](const auto& one) { return one.second <= oldest; });
  return told_.size() >= kMaxAhead;
}

void Getter::hear_receipt(const BlockId& block) {
  if (block == BlockId()) {
    told_.clear();
  } else {
    told_.erase(block);
  }
}

Next Getter::hear_notes() {
  while (const auto text = context_.inbox.take()) {
    if (const auto receipt = read_receipt(*text)) {
      hear_receipt(*receipt);
      continue;
    }
    auto note = read_note(*text);
    if (!note) {
      context_.host.reject(note.error().text);
    } else if (context_.settings.end == Etsi014End::kLeads) {
      context_.host.reject("a note came to the end that leads: the other end leads too");
    } else {
      context_.kept.add(std::move(*note));
    }
  }
  while (auto block = context_.kept.take()) {
    if (context_.offer(std::move(*block)) == Next::kStop) return Next::kStop;
  }
  if (const std::size_t dropped = context_.kept.take_dropped() + context_.inbox.take_lost(); dropped > 0)
    context_.host.reject(fmt::format("{} keys or notes waited for each other too long and are given up", dropped));
  return Next::kGoOn;
}

Next Getter::pause() {
  Millis length = backoff_.next();
  if (draft_ && draft_->is_enough()) length = std::clamp<Millis>(draft_until_ - now_ms(), 0, length);
  const auto woken = context_.waiter.wait(context_.inbox.descriptor(), POLLIN, length);
  return woken == Waiter::Woken::kStop ? Next::kStop : Next::kGoOn;
}

}  // namespace qkms::drivers::etsi014
