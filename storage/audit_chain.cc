#include "storage/audit_chain.h"

#include <openssl/evp.h>

#include <cassert>

namespace qkms::storage {

api::AuditHash sha256(std::span<const std::uint8_t> bytes) {
  api::AuditHash hash;
  std::size_t size = hash.size();
  [[maybe_unused]] const int done =
      EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(), hash.data(), &size);
  assert(done == 1 && size == hash.size());
  return hash;
}

api::AuditHash sha256(std::string_view text) {
  return sha256(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

Result<void> AuditChain::follow(std::string_view line) {
  const auto broken = [&](std::string_view where, const std::string& why) {
    return fail(ErrorCode::kCorrupt, "the audit log is broken " + std::string(where) + " record " +
                                         std::to_string(last_.sequence) + ": " + why);
  };
  const auto place = api::place_of_audit_line(line);
  if (!place) return broken("after", "the next line is damaged: " + place.error().text);
  if (anchored_ && place->sequence != last_.sequence + 1) {
    return broken("after", "the next one there is " + std::to_string(place->sequence) +
                               ": records were removed, repeated or moved");
  }
  if (anchored_ && place->previous != last_.hash)
    return broken("at", "it was changed, or the one behind it was: their hashes do not fit");
  last_ = {place->sequence, sha256(line)};
  anchored_ = true;
  return {};
}

}  // namespace qkms::storage
