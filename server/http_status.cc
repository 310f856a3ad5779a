#include "server/http_status.h"

#include <algorithm>

#include "api/etsi014/messages.h"

namespace qkms::server {

namespace {

int retry_after(const Error& error) { return std::max(1, static_cast<int>(error.retry_after_s)); }

}  // namespace

HttpError http_error_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalid:
      return {400, error.text, "", {}};
    case ErrorCode::kSizeNotMultipleOf8:
      return {400, std::string(api::etsi014::kSizeNotMultipleOf8), "", {}};
    case ErrorCode::kExtensionUnsupported:
      return {400, std::string(api::etsi014::kExtensionUnsupported), "", {}};
    case ErrorCode::kExtensionUnmet:
      return {400, std::string(api::etsi014::kExtensionUnmet), "", {}};
    case ErrorCode::kKeyNotFound:
      return {400, std::string(api::etsi014::kKeyNotFound), "", {}};
    case ErrorCode::kUnauthorised:
      return {401, "", "", {}};
    case ErrorCode::kPoolExhausted:
      return {503, "not enough key material at the moment", "pool-exhausted", 1};
    case ErrorCode::kPeerUnreachable:
      return {503, "the other KME did not confirm in time", "peer-unreachable", 1};
    case ErrorCode::kNoRoute:
      return {503, "there is no route to the other KME", "no-route", 10};
    case ErrorCode::kOverloaded:
      return {503, "too many requests at the moment", "overloaded", 1};
    case ErrorCode::kRateLimited:
      return {429, error.text, "rate-limited", retry_after(error)};
    case ErrorCode::kOverQuota:
      return {429, error.text, "over-quota", retry_after(error)};
    case ErrorCode::kReserved:
      return {429, error.text, "reserved", 1};
    case ErrorCode::kClosed:
      return {503, "no key goes out at the moment", "sealed", 5};
    case ErrorCode::kSealed:
      return {503, "the KME is sealed: an operator has to unseal it", "sealed", {}};
    // These say something about the inside: the log has the text, the caller does not.
    case ErrorCode::kNotFound:
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return {503, "internal error", "", {}};
}

}  // namespace qkms::server
