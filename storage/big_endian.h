// Numbers as this folder writes them into files: big-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qkms::storage {

template <class T>
void put_big_endian(std::span<std::uint8_t> out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out[i] = static_cast<std::uint8_t>(value >> 8 * (sizeof(T) - 1 - i));
  }
}

template <class T>
void append_big_endian(std::vector<std::uint8_t>& out, T value) {
  std::array<std::uint8_t, sizeof(T)> bytes;
  put_big_endian<T>(bytes, value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// `from` has at least sizeof(T) bytes.
template <class T>
T get_big_endian(std::span<const std::uint8_t> from) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8 | from[i]);
  return value;
}

}  // namespace qkms::storage
