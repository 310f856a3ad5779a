#include "base/secret.h"

#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <ostream>
#include <type_traits>

#include "base/process_guard.h"
#include "base/sanitizer.h"

namespace qkms {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

TEST(SecretBytes, CanBeNeitherCopiedNorPrintedNorComparedByOperator) {
  static_assert(!std::copy_constructible<SecretBytes>);
  static_assert(!std::is_copy_assignable_v<SecretBytes>);
  static_assert(!Printable<SecretBytes>);
  static_assert(!std::equality_comparable<SecretBytes>);
}

TEST(SecretBytes, MovesLeaveTheSourceEmpty) {
  SecretBytes from = SecretBytes::copy_of(std::array<std::uint8_t, 3>{1, 2, 3});
  SecretBytes to = std::move(from);
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(to.size(), 3u);
  EXPECT_EQ(to.reveal()[2], 3);
}

TEST(SecretBytes, ComparesContentsAndSizes) {
  const SecretBytes a = SecretBytes::copy_of(std::array<std::uint8_t, 3>{1, 2, 3});
  EXPECT_TRUE(a.equals(a.slice(0, 3)));
  EXPECT_FALSE(a.equals(a.slice(0, 2)));
  EXPECT_FALSE(a.equals(SecretBytes(3)));
}

TEST(SecretBytes, AssignmentWipesWhatWasThere) {
  // The box owns its memory, so the only way to watch the wipe from outside is wipe() itself on memory that we keep.
  std::array<std::uint8_t, 4> kept{1, 2, 3, 4};
  wipe(kept);
  EXPECT_EQ(kept, (std::array<std::uint8_t, 4>{}));
}

// Reads its own stack below this frame, where a call before left something.
[[gnu::noinline]] std::size_t marks_below() {
  std::array<volatile std::uint8_t, 4096> below;  // deliberately not initialised
  std::size_t marks = 0;
  for (const volatile std::uint8_t& byte : below) marks += byte == 0xa5 ? 1 : 0;
  return marks;
}

[[gnu::noinline]] void leave_marks_below() {
  std::array<volatile std::uint8_t, 4096> below;
  for (volatile std::uint8_t& byte : below) byte = 0xa5;
}

TEST(WipeTraces, ClearsTheStackBelowItsCaller) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer moves arrays elsewhere";
  leave_marks_below();
  ASSERT_GT(marks_below(), 3000u);  // so they can be seen
  leave_marks_below();
  wipe_traces();
  EXPECT_LT(marks_below(), 16u);  // padding between two frames is left alone
}

#if defined(__x86_64__)
using Register = std::array<std::uint8_t, 32>;

// Without the attribute for AVX, for with it the compiler clears the upper halves at a function's end.
[[gnu::noinline]] void load(const Register& bits) { __asm__ volatile("vmovdqu %0, %%ymm7" ::"m"(bits) : "xmm7"); }

[[gnu::noinline]] Register store() {
  Register bits;
  __asm__ volatile("vmovdqu %%ymm7, %0" : "=m"(bits));
  return bits;
}

TEST(WipeTraces, ClearsWholeVectorRegisters) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor has no wide registers";
  Register bits;
  bits.fill(0xa5);
  load(bits);
  ASSERT_EQ(store(), bits);  // so it can be seen
  load(bits);
  wipe_traces();
  EXPECT_EQ(store(), Register{});
}
#endif

TEST(ProcessGuard, LeavesNoCoreAndNoReader) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    rlimit core{1, 1};
    const bool guarded =
        protect_process() && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0;
    _exit(guarded ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace qkms
