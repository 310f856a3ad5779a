// Follows the lines of an audit log (api/audit_line.h) and says where the first one is missing, changed or out of
// place.
//
// Thread rule: as a plain value.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/audit_line.h"

namespace qkms::storage {

api::AuditHash sha256(std::span<const std::uint8_t> bytes);
api::AuditHash sha256(std::string_view text);

// A place in a log: the number and the SHA-256 of a line. {0, zeroes} is the beginning.
struct AuditMark {
  std::uint64_t sequence = 0;
  api::AuditHash hash{};
  bool operator==(const AuditMark&) const = default;
};

// Lines that follow each other, and how far the log goes.
struct AuditPage {
  std::vector<std::string> lines;
  AuditMark before_first, last;  // of the whole log
};

// What a store's log is: from behind one mark to another, and how large. The store's head has it, sealed.
struct AuditSpan {
  AuditMark before_first, last;
  std::uint64_t bytes = 0;
};

// How much a store keeps of its log when nobody says otherwise.
inline constexpr std::uint64_t kDefaultAuditBytes = std::uint64_t{1} << 30;

class AuditChain {
 public:
  // The next line must be the one that follows `after`.
  explicit AuditChain(const AuditMark& after) : last_(after), anchored_(true) {}
  // The next line may be any: an export can begin in the middle. What lies before it is not checked then.
  AuditChain() = default;

  // kCorrupt: the line does not follow; the text says what is wrong with it and names its number. The chain stays where
  // it was.
  Result<void> follow(std::string_view line);
  const AuditMark& last() const { return last_; }

 private:
  AuditMark last_;
  bool anchored_ = false;
};

}  // namespace qkms::storage
