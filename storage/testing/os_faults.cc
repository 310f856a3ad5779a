// See os_faults.h. The program's own definitions come before those of the C library, for our code and for its
// libraries.
#include "storage/testing/os_faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace qkms::storage {
namespace {

struct State {
  std::atomic<bool> armed = false;
  std::atomic<std::uint64_t> calls = 0;
  std::uint64_t nth = 0;
  bool once = false;
  int number = 0;
};
State state;
thread_local std::uint64_t syncs = 0;

bool fails() {
  if (!state.armed) return false;
  const std::uint64_t call = ++state.calls;
  if (call != state.nth && (call < state.nth || state.once)) return false;
  errno = state.number;
  return true;
}

}  // namespace

void OsFaults::arm(std::uint64_t nth, HowLong how_long, int number) {
  state.nth = nth;
  state.once = how_long == HowLong::kOnce;
  state.number = number;
  state.calls = 0;
  state.armed = true;
}

void OsFaults::disarm() { state.armed = false; }

bool OsFaults::hit() const { return state.calls >= state.nth; }

std::uint64_t OsFaults::syncs_of_this_thread() { return syncs; }

}  // namespace qkms::storage

extern "C" {

int fsync(int descriptor) {
  ++qkms::storage::syncs;
  return qkms::storage::fails() ? -1 : static_cast<int>(::syscall(SYS_fsync, descriptor));
}

int fdatasync(int descriptor) {
  ++qkms::storage::syncs;
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

int rename(const char* from, const char* to) noexcept {
  return qkms::storage::fails() ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  return qkms::storage::fails() ? -1 : static_cast<ssize_t>(::syscall(SYS_write, descriptor, bytes, size));
}

}  // extern "C"
