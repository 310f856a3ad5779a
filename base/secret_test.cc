#include "base/secret.h"

#include <gtest/gtest.h>

#include <concepts>
#include <ostream>
#include <type_traits>

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

}  // namespace
}  // namespace qkms
