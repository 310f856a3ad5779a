// What a driver's hear() puts down and its run() picks up: a bounded queue between two threads that a Waiter can wait
// for.
//
// Concurrency: put() from any thread, the rest from the driver's.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "base/file_descriptor.h"

namespace qkms::drivers {

class NoteInbox {
 public:
  static constexpr std::size_t kMaxNotes = 64;

  // Throws std::system_error when no descriptor is left.
  NoteInbox();

  // When it is full the oldest goes: it is the one least likely to be of use still.
  void put(std::string note);
  std::optional<std::string> take();
  // How many have gone unread since the last call.
  std::size_t take_lost();

  int descriptor() const { return arrived_.get(); }  // readable while there is a note

 private:
  const FileDescriptor arrived_;
  std::mutex mutex_;
  std::deque<std::string> notes_;
  std::size_t lost_ = 0;
};

}  // namespace qkms::drivers
