// The surprise: the name is found by its underscore, the one character in it that base64 and most names have not. The
// generator may spend only a few microseconds on a body of 128 keys.
#include "bench/loadgen/key_ids.h"

#include <algorithm>
#include <fstream>

namespace qkms::bench {
namespace {

constexpr std::string_view kName = "\"key_ID\"";
constexpr std::string_view kNameToId = ":\"";  // as a server writes it that sends no blanks

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::size_t find_name(std::string_view piece) {
  constexpr std::size_t kMark = kName.find('_');
  for (std::size_t at = piece.find('_', kMark); at != std::string_view::npos; at = piece.find('_', at + 1)) {
    if (piece.substr(at - kMark).starts_with(kName)) return at - kMark;
  }
  return std::string_view::npos;
}

void keep(const KeyIdText& id, std::vector<KeyIdText>& out) {
  if (id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-') out.push_back(id);
}

}  // namespace

void KeyIdScanner::feed(std::string_view piece, std::vector<KeyIdText>& out) {
  while (!piece.empty()) {
    if (seeking_ == Seeking::kName && have_ == 0) {
      piece = take_at_once(seek_name(piece), out);
    } else {
      step(piece.front(), out);
      piece.remove_prefix(1);
    }
  }
}

// Passes over everything up to the end of the next name; at the end of the piece remembers how much of a name it ends
// with.
std::string_view KeyIdScanner::seek_name(std::string_view piece) {
  if (const std::size_t found = find_name(piece); found != std::string_view::npos) {
    seeking_ = Seeking::kColon;
    return piece.substr(found + kName.size());
  }
  for (have_ = std::min(kName.size() - 1, piece.size()); have_ > 0; --have_) {
    if (piece.ends_with(kName.substr(0, have_))) break;
  }
  return {};
}

// The usual case: the whole ID follows the name in this piece.
std::string_view KeyIdScanner::take_at_once(std::string_view piece, std::vector<KeyIdText>& out) {
  if (piece.size() < kNameToId.size() + id_.size() || !piece.starts_with(kNameToId)) return piece;
  piece.copy(id_.data(), id_.size(), kNameToId.size());
  keep(id_, out);
  reset();
  return piece.substr(kNameToId.size() + id_.size());
}

void KeyIdScanner::step(char c, std::vector<KeyIdText>& out) {
  switch (seeking_) {
    case Seeking::kName:
      have_ =
          c == kName[have_] ? have_ + 1 : 0;  // in JSON no name begins at the character where another one was cut off
      if (have_ == kName.size()) reset(), seeking_ = Seeking::kColon;
      return;
    case Seeking::kColon:
      if (!is_blank(c)) seeking_ = c == ':' ? Seeking::kQuote : Seeking::kName;
      return;
    case Seeking::kQuote:
      if (!is_blank(c)) seeking_ = c == '"' ? Seeking::kId : Seeking::kName;
      return;
    case Seeking::kId:
      id_[have_++] = c;
      if (have_ < id_.size()) return;
      keep(id_, out);
      reset();
      return;
  }
}

Result<std::vector<KeyIdText>> KeyIdSource::read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::kIo, "cannot read " + file.string());
  std::vector<KeyIdText> ids;
  for (std::string line; std::getline(in, line);) {
    if (line.size() != std::tuple_size_v<KeyIdText>)
      return fail(ErrorCode::kCorrupt, file.string() + " is not a file of key IDs");
    line.copy(ids.emplace_back().data(), line.size());
  }
  return ids;
}

std::optional<std::span<const KeyIdText>> KeyIdSource::next() {
  const std::size_t group = used_groups_.fetch_add(1, std::memory_order_relaxed);
  if (group >= groups()) return std::nullopt;
  return std::span(ids_).subspan(group * group_size_, group_size_);
}

Result<void> write_key_ids(const std::filesystem::path& file, std::span<const std::vector<KeyIdText>> per_thread) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  for (const auto& ids : per_thread) {
    for (const KeyIdText& id : ids) out.write(id.data(), id.size()).put('\n');
  }
  out.close();
  if (!out) return fail(ErrorCode::kIo, "cannot write " + file.string());
  return {};
}

}  // namespace qkms::bench
