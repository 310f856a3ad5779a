// Fills a buffer that will be wiped with text that contains key bits: the way of key bits into a response, past every
// std::string. The caller computes the exact size first and gives a buffer of it (SecretBytes::reveal_mutable());
// nothing is ever reallocated, so no copy of the bits stays behind. Writing past the end is our own mistake and
// asserts.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/id.h"

namespace qkms::api {

// RFC 4648 §4, with padding.
constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

inline constexpr std::size_t kUuidTextBytes = 36;

// `out` must outlive the writer.
class SecretWriter {
 public:
  explicit SecretWriter(std::span<std::uint8_t> out) : out_(out) {}

  void text(std::string_view public_text) {
    const std::span<std::uint8_t> place = reserve(public_text.size());
    if (!place.empty()) std::memcpy(place.data(), public_text.data(), public_text.size());
  }
  void uuid(const KeyId& id);
  void base64(std::span<const std::uint8_t> bits);

  std::size_t written() const { return written_; }
  bool full() const { return written_ == out_.size(); }

 private:
  std::span<std::uint8_t> reserve(std::size_t size) {
    assert(size <= out_.size() - written_);
    const std::span<std::uint8_t> place = out_.subspan(written_, size);
    written_ += size;
    return place;
  }

  std::span<std::uint8_t> out_;
  std::size_t written_ = 0;
};

}  // namespace qkms::api
