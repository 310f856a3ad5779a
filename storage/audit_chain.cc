#include "storage/audit_chain.h"

#include <openssl/evp.h>

#include <cassert>

namespace qkms::storage {

namespace {

// Looking for the function by its name would cost as much as a line's hash.
class Sha256 {
 public:
  Sha256() : function_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    assert(function_ != nullptr && context_ != nullptr);
  }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(function_);
  }

  api::AuditHash of(std::span<const std::uint8_t> bytes) {
    api::AuditHash hash;
    [[maybe_unused]] const bool done = EVP_DigestInit_ex2(context_, function_, nullptr) == 1 &&
                                       EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1 &&
                                       EVP_DigestFinal_ex(context_, hash.data(), nullptr) == 1;
    assert(done);
    return hash;
  }

 private:
  EVP_MD* const function_;
  EVP_MD_CTX* const context_;
};

}  // namespace

api::AuditHash sha256(std::span<const std::uint8_t> bytes) {
  static thread_local Sha256 sha256;
  return sha256.of(bytes);
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
