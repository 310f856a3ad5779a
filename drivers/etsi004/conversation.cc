#include "drivers/etsi004/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/json_reader.h"
#include "base/text.h"
#include "drivers/etsi004/twin_note.h"

namespace qkms::drivers::etsi004 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Millis kFirstPauseMs = 10;           // doubles, up to poll_ms
constexpr Millis kAttendMs = 200;              // how soon the twin's word is heard while there is nothing else to do
constexpr std::chrono::seconds kTellAgain{5};  // notes may be lost
constexpr int kMostProposals = 3;
constexpr std::uint32_t kLongestTimeoutMs = 60'000;  // whatever the device proposes
constexpr StreamId kNoStream{};

std::unexpected<Error> unexpected_status(std::string_view call, Status status) {
  return fail(ErrorCode::kInvalid, fmt::format("the device answers {} with status {}, which is no answer to it", call,
                                               std::to_underlying(status)));
}

}  // namespace

// --- the board

void Board::put_note(const StreamId& stream) {
  const std::lock_guard lock(mutex_);
  note_ = stream;
}

std::optional<StreamId> Board::take_note() {
  const std::lock_guard lock(mutex_);
  return std::exchange(note_, std::nullopt);
}

void Board::show(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  seen_ = seen;
}

Seen Board::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

// --- the whole

Result<void> Conversation::go() {
  for (;;) {
    if (auto known = learn_stream(); !known) return known;
    if (session_ == nullptr) {
      auto session = Session::connect(settings_.tls, settings_.dialect, settings_.version, waiter_);
      if (!session) return std::unexpected(session.error());
      session_ = std::move(*session);
    }
    const auto opened = open();
    if (!opened) return std::unexpected(opened.error());
    if (*opened == Next::kOpenAgain) continue;
    if (auto taken = take_chunks(); !taken) return taken;
  }
}

Result<void> Conversation::pause() {
  wipe_traces();
  pause_ms_ = std::min<Millis>(std::max(kFirstPauseMs, 2 * pause_ms_), settings_.poll_ms);
  if (waiter_.sleep(pause_ms_) == Waiter::Woken::kStop) return fail(ErrorCode::kClosed, "the driver is to stop");
  return {};
}

// An empty alarm is none. A device that speaks is there, so the first one is worth a report anyhow.
void Conversation::say(std::string alarm) {
  if (said_ == alarm) return;
  said_ = alarm;
  host_.report({.qber = {}, .rate_bps = {}, .alarm = std::move(alarm)});
}

// --- which stream

Result<void> Conversation::learn_stream() {
  if (settings_.stream && !memory_.stream) memory_.stream.emplace(link_, *settings_.stream);
  if (settings_.stream || settings_.end == StreamEnd::kOpens) return {};
  for (;;) {
    attend();
    if (memory_.stream) return {};
    if (Clock::now() - told_at_ >= kTellAgain) {
      if (told_at_ != Clock::time_point{}) say("the other end does not tell which key stream it has opened");
      told_at_ = Clock::now();
      host_.tell_twin(encode(TwinNote{TwinNote::Kind::kAsks, memory_.useless}));
    }
    if (waiter_.sleep(std::min<Millis>(kAttendMs, settings_.poll_ms)) == Waiter::Woken::kStop)
      return fail(ErrorCode::kClosed, "the driver is to stop");
  }
}

// Hears what the twin has told, and tells it what it should know.
Conversation::Next Conversation::attend() {
  if (settings_.stream) return Next::kGoOn;
  const std::optional<StreamId> note = board_.take_note();
  const bool is_ours = note && memory_.stream && memory_.stream->id() == *note;
  if (settings_.end == StreamEnd::kJoins) {
    if (!note || is_ours || *note == kNoStream || *note == memory_.useless) return Next::kGoOn;
    leave_stream();
    memory_.stream.emplace(link_, *note);
    return Next::kOpenAgain;
  }
  if (is_ours) {  // the other end cannot use it
    leave_stream();
    return Next::kOpenAgain;
  }
  if (note || Clock::now() - told_at_ >= kTellAgain) announce();
  return Next::kGoOn;
}

void Conversation::announce() {
  if (settings_.stream || settings_.end == StreamEnd::kJoins || !memory_.stream) return;
  told_at_ = Clock::now();
  host_.tell_twin(encode(TwinNote{TwinNote::Kind::kIsOpen, memory_.stream->id()}));
}

// A stream that is not closed is forgotten by the device after its TTL.
void Conversation::leave_stream() {
  if (session_ != nullptr && memory_.stream && memory_.was_opened &&
      !session_->close(memory_.stream->id(), settings_.answer_ms)) {
    session_.reset();
  }
  memory_.stream.reset();
  memory_.was_opened = false;
}

// A configured stream stays: only an operator can choose another one.
std::unexpected<Error> Conversation::give_up(const std::string& why) {
  memory_.useless = memory_.stream->id();
  if (!settings_.stream) leave_stream();
  return fail(ErrorCode::kCorrupt, fmt::format("key stream {}: {}", to_hex(memory_.useless), why));
}

// --- OPEN_CONNECT

Result<Conversation::Next> Conversation::open() {
  OpenRequest request{settings_.source, settings_.destination, settings_.qos,
                      memory_.stream ? memory_.stream->id() : kNoStream};
  for (int proposals = 0; proposals < kMostProposals;) {
    const auto answer = session_->open(request, Millis{settings_.qos.timeout_ms} + settings_.answer_ms);
    if (!answer) return std::unexpected(answer.error());
    Result<void> done;
    switch (answer->status) {
      case Status::kOk:
      case Status::kPeerNotYetThere:
        done = accept(*answer, request);
        if (done) return Next::kGoOn;
        break;
      case Status::kQosNotMet:
        ++proposals;
        done = consider(*answer, request);
        if (done) continue;
        break;
      case Status::kInUse:
        done = find_in_use();
        break;
      case Status::kNoQkdConnection:
        say("the device has no QKD connection");
        break;
      case Status::kTimeOut:
        say("the device ran out of time when the key stream was to be opened");
        break;
      default:
        done = unexpected_status("OPEN_CONNECT", answer->status);
    }
    if (done) done = pause();
    if (!done) return std::unexpected(done.error());
    if (attend() == Next::kOpenAgain) return Next::kOpenAgain;
  }
  return fail(ErrorCode::kInvalid, "the device makes one counter-proposal after the other");
}

Result<void> Conversation::accept(const OpenResponse& answer, const OpenRequest& request) {
  if (answer.stream == kNoStream || (request.stream != kNoStream && answer.stream != request.stream))
    return fail(ErrorCode::kInvalid, "the device opened another key stream than the one that it was asked for");
  if (auto checked = check_qos(answer); !checked) return checked;
  if (!memory_.stream) memory_.stream.emplace(link_, answer.stream);
  memory_.stream->set_chunk_bytes(answer.qos->chunk_bytes);
  memory_.was_opened = true;
  get_ms_ = Millis{std::min(std::max(answer.qos->timeout_ms, settings_.qos.timeout_ms), kLongestTimeoutMs)} +
            settings_.answer_ms;
  pause_ms_ = 0;
  say("");
  announce();
  return {};
}

// Clause 6.1: on a proposal the caller may open again with what the device offers.
Result<void> Conversation::consider(const OpenResponse& answer, OpenRequest& request) {
  if (auto checked = check_qos(answer); !checked) return checked;
  if (request.stream == kNoStream) request.stream = answer.stream;
  request.qos = *answer.qos;
  return {};
}

// What the device granted or offered, which may be less than was asked for, within bounds; it is closed when it does
// not do.
Result<void> Conversation::check_qos(const OpenResponse& answer) {
  const Qos& qos = *answer.qos;
  const std::uint32_t least_bps = std::min(settings_.least_bps, settings_.qos.min_bps);
  if (qos.chunk_bytes >= 1 && qos.chunk_bytes <= kMaxChunkBytes && qos.min_bps >= least_bps) return {};
  if (answer.stream != kNoStream && !session_->close(answer.stream, settings_.answer_ms)) session_.reset();
  memory_.was_opened = false;
  return fail(
      ErrorCode::kInvalid,
      fmt::format("the device offers chunks of {} bytes and at least {} bits a second; accepted: 1 to {} bytes, "
                  "{} bits a second or more",
                  qos.chunk_bytes, qos.min_bps, kMaxChunkBytes, least_bps));
}

// Ours: a connection that the device believes to be there still.
Result<void> Conversation::find_in_use() {
  if (settings_.stream || memory_.was_opened) {
    const auto closed = session_->close(memory_.stream->id(), settings_.answer_ms);
    if (!closed) return std::unexpected(closed.error());
    say("the device says that our key stream is in use; it was closed, to be opened again");
    return {};
  }
  if (!memory_.stream) return fail(ErrorCode::kInvalid, "the device says that a new key stream is in use");
  return give_up("the other end told it to us, and the device says that it is in use");
}

// --- GET_KEY

Result<void> Conversation::take_chunks() {
  for (;;) {
    if (attend() == Next::kOpenAgain) return {};
    const std::optional<std::uint32_t> index = memory_.stream->next();
    if (!index) return give_up("all of its 2^32 chunks are used");
    wipe_traces();
    auto answer = session_->get({memory_.stream->id(), *index, memory_.metadata_bytes}, get_ms_);
    if (!answer && answer.error().code == ErrorCode::kClosed) {  // no fault of the device's
      memory_.stream->lose_next();
      return std::unexpected(answer.error());
    }
    if (!answer) {
      lose_next(answer.error().text);
      return std::unexpected(answer.error());
    }
    if (auto handled = handle(std::move(*answer)); !handled) return handled;
  }
}

// The device may have used it up.
void Conversation::lose_next(std::string_view why) {
  host_.reject(fmt::format("chunk {} was asked for and is given up: {}", *memory_.stream->next(), why));
  memory_.stream->lose_next();
}

Result<void> Conversation::handle(GetResponse answer) {
  switch (answer.status) {
    case Status::kOk:
      return take(std::move(answer));
    case Status::kNotEnoughKey:
    case Status::kPeerNotConnected:
      say(last_alarm_);
      return pause();
    case Status::kNoQkdConnection:
      say("the device has no QKD connection");
      return pause();
    case Status::kTimeOut:
      lose_next("the device ran out of time");
      return pause();
    case Status::kMetadataTooSmall:
      return make_room(answer.needed_metadata_bytes);
    default:
      lose_next("the device's answer makes no sense");
      return unexpected_status("GET_KEY", answer.status);
  }
}

Result<void> Conversation::make_room(std::uint32_t needed_bytes) {
  if (needed_bytes <= memory_.metadata_bytes || needed_bytes > kMaxMetadataBytes) {
    return fail(ErrorCode::kInvalid, fmt::format("the device needs {} bytes for metadata where there are {}; accepted: "
                                                 "up to {}",
                                                 needed_bytes, memory_.metadata_bytes, kMaxMetadataBytes));
  }
  memory_.metadata_bytes = needed_bytes;
  return {};
}

Result<void> Conversation::take(GetResponse answer) {
  KeyStream& stream = *memory_.stream;
  const std::uint32_t asked = *stream.next();
  auto block = stream.take(answer.index, std::move(answer.key));
  if (!block && block.error().code == ErrorCode::kCorrupt) return give_up(block.error().text);
  if (answer.index > asked) {
    host_.reject(
        fmt::format("the device passed over {} chunks and gave number {}", answer.index - asked, answer.index));
  }
  look_at_metadata(answer.metadata);
  say(last_alarm_);
  seen_.stream = stream.id();
  seen_.chunks = stream.chunks();
  seen_.missed = stream.missed();
  board_.show(seen_);
  if (!block) {
    host_.reject(block.error().text);
    return pause();
  }
  pause_ms_ = 0;
  return *block ? offer(std::move(**block)) : Result<void>();
}

Result<void> Conversation::offer(Block block) {
  Result<void> taken = host_.offer(std::move(block));
  if (!taken && taken.error().code == ErrorCode::kClosed) return taken;
  return {};
}

// Whatever it is: it decides nothing but an alarm.
void Conversation::look_at_metadata(const std::string& metadata) {
  last_alarm_.clear();
  seen_.age_ms = seen_.hops = std::nullopt;
  const auto json = api::read_json(metadata);
  const auto* object = json ? json->get<api::JsonObject>() : nullptr;
  if (object == nullptr) return;
  const auto number = [object](std::string_view name) -> std::optional<std::int64_t> {
    const api::JsonValue* value = api::find_member(*object, name);
    const auto* integer = value != nullptr ? value->get<std::int64_t>() : nullptr;
    return integer != nullptr && *integer >= 0 ? std::optional(*integer) : std::nullopt;
  };
  seen_.age_ms = number("age");
  seen_.hops = number("hops");
  if (settings_.direct && seen_.hops.value_or(0) > 0)
    last_alarm_ = fmt::format("its keys come over {} other nodes, and the link is to be direct", *seen_.hops);
}

}  // namespace qkms::drivers::etsi004
