#include "drivers/note_inbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace qkms::drivers {

// A semaphore: its count is the number of notes.
NoteInbox::NoteInbox() : arrived_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) {
  if (!arrived_.is_open()) throw std::system_error(errno, std::generic_category(), "cannot make an eventfd");
}

void NoteInbox::put(std::string note) {
  const std::lock_guard lock(mutex_);
  notes_.push_back(std::move(note));
  if (notes_.size() > kMaxNotes) {
    notes_.pop_front();
    ++lost_;
    return;
  }
  const std::uint64_t one = 1;
  static_cast<void>(!::write(arrived_.get(), &one, sizeof one));  // cannot fail: the count is small
}

std::optional<std::string> NoteInbox::take() {
  const std::lock_guard lock(mutex_);
  if (notes_.empty()) return std::nullopt;
  std::uint64_t one = 0;
  static_cast<void>(!::read(arrived_.get(), &one, sizeof one));
  std::string note = std::move(notes_.front());
  notes_.pop_front();
  return note;
}

std::size_t NoteInbox::take_lost() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lost_, 0);
}

}  // namespace qkms::drivers
