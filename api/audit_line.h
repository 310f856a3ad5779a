// The audit log's text: one JSON object a line, chained. Line n has the SHA-256 of line n - 1, so whoever has the lines
// needs no key and no software of ours to see that none was removed, changed or moved; docs/audit.md has the format.
//
// Thread rule: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/audit_record.h"
#include "base/error.h"

namespace qkms::api {

using AuditHash = std::array<std::uint8_t, 32>;

// What a record gets when it is stored.
struct AuditStamp {
  std::uint64_t sequence = 0;  // from 1
  std::string_view time;       // RFC 3339 in UTC, with milliseconds
  std::string_view node;       // the KME that keeps the log
  AuditHash previous{};        // SHA-256 of the line before, without its end of line; zeroes for the first
};

// Without an end of line. Texts are escaped, and cut at kMaxAuditTextBytes.
std::string audit_line(const AuditStamp& stamp, const AuditRecord& record);
inline constexpr std::size_t kMaxAuditTextBytes = 4096;

// What a line says of its place. kInvalid when it is no line of such a log.
struct AuditPlace {
  std::uint64_t sequence = 0;
  AuditHash previous{};
};
Result<AuditPlace> place_of_audit_line(std::string_view line);

}  // namespace qkms::api
