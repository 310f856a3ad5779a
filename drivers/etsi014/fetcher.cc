#include "drivers/etsi014/fetcher.h"

#include <fmt/format.h>
#include <poll.h>

namespace qkms::drivers::etsi014 {
namespace {

constexpr Millis kFreshMs = 10'000;  // a device does not change its limits often

}  // namespace

Result<void> Fetcher::run() {
  const auto limits = keys_per_request();  // shows at once whether the device is there
  if (!limits && limits.error().outcome == Outcome::kStopped) return {};
  if (!limits && limits.error().outcome != Outcome::kBusy) return std::unexpected(limits.error().error);
  context_.host.tell_twin(write_receipt(BlockId()));  // what was told to an earlier life is not fetched any more
  for (;;) {
    if (context_.waiter.wait(context_.inbox.descriptor(), POLLIN, -1) == Waiter::Woken::kStop) return {};
    if (const std::size_t lost = context_.inbox.take_lost(); lost > 0)
      context_.host.reject(fmt::format("{} blocks are given up: more notes came than can be served", lost));
    const auto text = context_.inbox.take();
    if (!text) continue;
    const auto next = fetch(*text);
    wipe_traces();
    if (!next) return std::unexpected(next.error());
    if (*next == Next::kStop) return {};
  }
}

Result<Next> Fetcher::fetch(std::string_view text) {
  const auto note = read_note(text);
  if (!note) {
    context_.host.reject(note.error().text);
    return Next::kGoOn;
  }
  bool is_new = true;
  for (const KeyId& id : note->ids) is_new = context_.seen.add(id) && is_new;
  if (is_new) {
    auto next = fetch_all(*note);
    context_.host.tell_twin(write_receipt(block_id_of(*note)));
    return next;
  }
  context_.host.reject("a block is given up: the other end names a key ID a second time");
  return Next::kGoOn;
}

Result<Next> Fetcher::fetch_all(const Note& note) {
  const Millis until = now_ms() + context_.settings.fetch_ms;
  BlockDraft draft(note.key_bytes, note.block_bytes());
  for (std::size_t at = 0; at < note.ids.size();) {
    const auto limit = patiently([this] { return keys_per_request(); }, until);
    if (!limit) return give_up(limit.error());
    const auto ids = std::span(note.ids).subspan(at).first(std::min(*limit, note.ids.size() - at));
    const auto keys = patiently([&] { return context_.device.get_by_id(ids, note.key_bytes); }, until);
    if (!keys) return give_up(keys.error());
    for (const DeviceKey& key : *keys) draft.add(key);
    at += ids.size();
  }
  return context_.offer(draft.block());
}

CallResult<std::size_t> Fetcher::keys_per_request() {
  if (per_request_ > 0 && now_ms() - asked_at_ < kFreshMs) return per_request_;
  const auto status = context_.device.status();
  if (!status) return std::unexpected(status.error());
  if (status->oddity != oddity_ || per_request_ == 0) {
    oddity_ = status->oddity;
    context_.host.report({.qber = {}, .rate_bps = {}, .alarm = oddity_});
  }
  per_request_ = std::min<std::size_t>(status->max_key_per_request, kMaxKeysPerAnswer);
  asked_at_ = now_ms();
  return per_request_;
}

// Again and again while the device certainly consumed nothing and may do better later: its keys may come a while after
// those of the other end.
template <class Call>
auto Fetcher::patiently(Call call, Millis until) -> decltype(call()) {
  Backoff backoff(context_.settings.poll_ms);
  for (;;) {
    auto result = call();
    if (result) return result;
    const Outcome outcome = result.error().outcome;
    if ((outcome != Outcome::kBusy && outcome != Outcome::kNotSent) || now_ms() >= until) return result;
    if (context_.sleep(backoff.next()) == Next::kStop) result.error().outcome = Outcome::kStopped;
    if (result.error().outcome == Outcome::kStopped) return result;
  }
}

Result<Next> Fetcher::give_up(const CallFailure& failure) {
  if (failure.outcome == Outcome::kStopped) return Next::kStop;
  context_.host.reject("a block is given up: " + failure.error.text);
  if (failure.outcome == Outcome::kNotSent) return std::unexpected(failure.error);
  return Next::kGoOn;
}

}  // namespace qkms::drivers::etsi014
