// For tests: runs something in a child process and kills it right before its n-th system call that changes files. With
// n = 1, 2, 3 ... until the child comes to its end, every state that a crash can leave on a disk is seen (other than
// those of a power cut, which also loses what was not synced).
#pragma once

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace qkms::storage {

enum class Killed { kBeforeItsEnd, kNot, kNotPossible };

inline bool changes_files(std::uint64_t number) {
  switch (number) {
    case SYS_openat:
    case SYS_write:
    case SYS_pwrite64:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_ftruncate:
    case SYS_unlinkat:
    case SYS_renameat2:
#ifdef SYS_rename
    case SYS_rename:
    case SYS_unlink:
#endif
      return true;
    default:
      return false;
  }
}

// `body` gives the child's exit code; 0 is expected when it comes to its end.
inline Killed kill_at_syscall(int nth, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    ::raise(SIGSTOP);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return Killed::kNotPossible;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (int calls = 0;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return Killed::kNot;
    }
    if (!WIFSTOPPED(status)) {
      ADD_FAILURE() << "the child ended by a signal of its own";
      return Killed::kNot;
    }
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0) return Killed::kNotPossible;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_files(info.entry.nr) && ++calls == nth) break;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return Killed::kBeforeItsEnd;
}

}  // namespace qkms::storage
