// One run of the driver: connect, open the stream, take chunks until something goes wrong. What must outlive a run is
// in Memory; what other threads tell and ask is in Board.
//
// Concurrency: a conversation and its memory are the driver's thread's; the board is everybody's.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "drivers/etsi004/etsi004.h"
#include "drivers/etsi004/key_stream.h"
#include "drivers/etsi004/session.h"
#include "drivers/waiter.h"

namespace qkms::drivers::etsi004 {

struct Memory {
  std::optional<KeyStream> stream;
  bool was_opened = false;  // by us, in this process
  StreamId useless{};       // the last one that we gave up
  std::uint32_t metadata_bytes = 1024;
};

struct Seen {  // for the operator
  StreamId stream{};
  std::uint64_t chunks = 0, missed = 0;
  std::optional<std::int64_t> age_ms, hops;  // of the last chunk, where the device says so
};

class Board {
 public:
  void put_note(const StreamId& stream);
  std::optional<StreamId> take_note();
  void show(const Seen& seen);
  Seen seen() const;

 private:
  mutable std::mutex mutex_;
  std::optional<StreamId> note_;  // the last one counts
  Seen seen_;
};

class Conversation {
 public:
  // All of them must outlive the conversation.
  Conversation(const LinkId& link, const Etsi004Settings& settings, Memory& memory, Board& board, DriverHost& host,
               Waiter& waiter)
      : link_(link), settings_(settings), memory_(memory), board_(board), host_(host), waiter_(waiter) {}

  // Ends with an error; kClosed: the driver is to stop.
  Result<void> go();

 private:
  enum class Next { kGoOn, kOpenAgain };

  // The stream's ID, and what the twin has to say about it.
  Result<void> learn_stream();
  Next attend();
  void announce();
  void leave_stream();
  std::unexpected<Error> give_up(const std::string& why);

  // OPEN_CONNECT
  Result<Next> open();
  Result<void> accept(const OpenResponse& answer, const OpenRequest& request);
  Result<void> consider(const OpenResponse& answer, OpenRequest& request);
  Result<void> check_qos(const OpenResponse& answer);
  Result<void> find_in_use();

  // GET_KEY
  Result<void> take_chunks();
  Result<void> handle(GetResponse answer);
  Result<void> take(GetResponse answer);
  Result<void> offer(Block block);
  Result<void> make_room(std::uint32_t needed_bytes);
  void lose_next(std::string_view why);
  void look_at_metadata(const std::string& metadata);

  Result<void> pause();
  void say(std::string alarm);

  const LinkId& link_;
  const Etsi004Settings& settings_;
  Memory& memory_;
  Board& board_;
  DriverHost& host_;
  Waiter& waiter_;

  std::unique_ptr<Session> session_;
  Millis get_ms_ = 0;    // a deadline
  Millis pause_ms_ = 0;  // the last pause, since something was given
  std::optional<std::string> said_;
  std::string last_alarm_;  // about the last chunk
  std::chrono::steady_clock::time_point told_at_{};
  Seen seen_;
};

}  // namespace qkms::drivers::etsi004
