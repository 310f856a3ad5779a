// Key IDs on their way from the answers to Get key to the requests of Get key with key IDs: found in bodies, kept,
// handed out.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace qkms::bench {

using KeyIdText = std::array<char, 36>;  // a UUID as it is written, ETSI GS QKD 014 V1.1.1 §6.3

// Finds every "key_ID":"<uuid>" in a body that comes in pieces. It keeps nothing else of the body, so that no key bits
// stay here.
class KeyIdScanner {
 public:
  // Appends what it finds to `out`.
  void feed(std::string_view piece, std::vector<KeyIdText>& out);
  void reset() { *this = KeyIdScanner(); }

 private:
  enum class Seeking { kName, kColon, kQuote, kId };

  std::string_view seek_name(std::string_view piece);
  std::string_view take_at_once(std::string_view piece, std::vector<KeyIdText>& out);
  void step(char c, std::vector<KeyIdText>& out);

  Seeking seeking_ = Seeking::kName;
  std::size_t have_ = 0;  // characters of the name, or of the ID, that are already there
  KeyIdText id_{};
};

// Groups of key IDs, one group for each request, shared by all threads.
class KeyIdSource {
 public:
  // A file as written by write_key_ids(); groups of `group_size`, in the file's order. A last, incomplete group is left
  // out.
  static Result<std::vector<KeyIdText>> read(const std::filesystem::path& file);

  KeyIdSource(std::vector<KeyIdText> ids, std::size_t group_size) : ids_(std::move(ids)), group_size_(group_size) {}

  // The next group, or nothing when all are used. Any thread.
  std::optional<std::span<const KeyIdText>> next();
  std::size_t groups() const { return ids_.size() / group_size_; }

 private:
  std::vector<KeyIdText> ids_;
  std::size_t group_size_;
  std::atomic<std::size_t> used_groups_ = 0;
};

// An ID a line.
Result<void> write_key_ids(const std::filesystem::path& file, std::span<const std::vector<KeyIdText>> per_thread);

}  // namespace qkms::bench
