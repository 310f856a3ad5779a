// The one error type of the project: a closed code that callers branch on, and a text for people.
// A text never holds key bits, and never the bytes of an untrusted input without escaping.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace qkms {

// Add a code only when some caller behaves differently for it. server/http_status.h maps codes to HTTP, once.
enum class ErrorCode {
  kInvalid,               // the request or input is malformed or out of range
  kUnauthorised,          // the caller may not do this
  kSizeNotMultipleOf8,    // ETSI GS QKD 014 V1.1.1 names this condition and its message
  kExtensionUnsupported,  // likewise: a mandatory extension is unknown
  kExtensionUnmet,        // likewise: known, but cannot be met
  kKeyNotFound,           // likewise: one or more key IDs cannot be returned
  kPoolExhausted,         // not enough key in the reservoir
  kPeerUnreachable,       // the slave's KME did not confirm in time
  kNoRoute,               // there is no reservoir towards the slave's KME, or it does not serve that slave
  kOverloaded,            // a queue is full; nothing was done
  kRateLimited,           // the caller, or its pair, has used up what it may have in this time
  kOverQuota,             // likewise for today
  kReserved,              // the key that is left is kept for other pairs
  kClosed,                // the store cannot be trusted at the moment: no key goes out
  kSealed,                // an operator has to unseal the store first: no key goes out, and waiting alone does not help
  kNotFound,              // a file, a row, a path is not there
  kCorrupt,               // stored or received data fails its check
  kIo,                    // the operating system said no
  kInternal,              // our own mistake
};

struct Error {
  ErrorCode code;
  std::string text;
  std::uint32_t retry_after_s = 0;  // for kRateLimited and kOverQuota: when it is worth asking again
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string text) {
  return std::unexpected(Error{code, std::move(text), 0});
}

std::string_view name_of(ErrorCode code);

}  // namespace qkms
