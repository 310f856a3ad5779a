#include "certs/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace qkms::certs {

namespace {

constexpr int kMaxSubjectEntries = 64;

std::unexpected<Error> refuse(std::string text) {
  return fail(ErrorCode::kUnauthorised, "certificate refused: " + std::move(text));
}

// By its length, so that a NUL inside stays visible.
std::string_view bytes_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// Whatever string type the CA chose (BMPString, T61String, ...), as UTF-8.
std::optional<std::string> utf8_of(const ASN1_STRING* text) {
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, text);
  if (size < 0) return std::nullopt;
  std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return out;
}

Result<std::string> fit(std::string name, std::string_view where) {
  if (is_valid_id(name)) return name;
  return refuse(
      fmt::format("its {} \"{}\" is not 1 to {} characters of printable ASCII", where, printable(name), kMaxIdBytes));
}

// The single subject alternative name of a type; "" when there is none of it.
Result<std::string> alternative_name(const X509* leaf, int type, std::string_view where) {
  int critical = 0;
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, nullptr)));
  if (names == nullptr && critical == -1) return std::string();  // there is no such extension
  if (names == nullptr) return refuse("its subject alternative names cannot be read, or are there twice");
  const GENERAL_NAME* found = nullptr;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != type) continue;
    if (found != nullptr) return refuse(fmt::format("it has more than one {}", where));
    found = name;
  }
  if (found == nullptr) return std::string();
  return fit(std::string(bytes_of(found->d.ia5)), where);
}

Result<std::string> required(Result<std::string> name, std::string_view where) {
  if (name && name->empty()) return refuse(fmt::format("it has no {}", where));
  return name;
}

Result<std::string> dns_name(const X509* leaf) {
  auto name = required(alternative_name(leaf, GEN_DNS, "DNS name"), "DNS name");
  if (name && name->contains('*')) return refuse("its DNS name has a wildcard, which names nobody");
  return name;
}

Result<std::string> common_name(const X509* leaf) {
  const X509_NAME* subject = X509_get_subject_name(leaf);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0) return refuse("its subject has no common name");
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0)
    return refuse("its subject has more than one common name");
  auto name = utf8_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
  if (!name) return refuse("its common name cannot be read");
  return fit(std::move(*name), "common name");
}

// RFC 2253 escapes what is not ASCII, so that the text is printable and one subject has one text. Control characters
// could be escaped too, but have no business in a name.
Result<std::string> subject_name(const X509* leaf) {
  const X509_NAME* subject = X509_get_subject_name(leaf);
  const int entries = X509_NAME_entry_count(subject);
  if (entries > kMaxSubjectEntries) return refuse("its subject has too many parts");
  for (int i = 0; i < entries; ++i) {
    const auto part = utf8_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; };
    if (!part || std::ranges::any_of(*part, is_control)) return refuse("its subject has a control character");
  }
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (out == nullptr || X509_NAME_print_ex(out.get(), subject, 0, XN_FLAG_RFC2253) < 0)
    return refuse("its subject cannot be read");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return fit(std::string(text, static_cast<std::size_t>(size)), "subject");
}

}  // namespace

Result<X509Ptr> verified_leaf(const SSL* ssl) {
  if (SSL_is_init_finished(ssl) == 0) return fail(ErrorCode::kUnauthorised, "the TLS handshake is not over");
  X509Ptr leaf(SSL_get1_peer_certificate(ssl));
  if (leaf == nullptr) return fail(ErrorCode::kUnauthorised, "no certificate was shown");
  const long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) return refuse(X509_verify_cert_error_string(verdict));
  return leaf;
}

Result<std::string> name_in(const X509* leaf, NameRule rule) {
  switch (rule) {
    case NameRule::kUriElseCommonName: {
      auto uri = alternative_name(leaf, GEN_URI, "URI");
      return uri && uri->empty() ? common_name(leaf) : uri;
    }
    case NameRule::kUri:
      return required(alternative_name(leaf, GEN_URI, "URI"), "URI");
    case NameRule::kDns:
      return dns_name(leaf);
    case NameRule::kCommonName:
      return common_name(leaf);
    case NameRule::kSubject:
      return subject_name(leaf);
  }
  return fail(ErrorCode::kInternal, "unknown name rule");
}

std::string fingerprint_of(const X509* leaf) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(leaf, EVP_sha256(), digest.data(), &size) != 1) return "";  // matches no configured fingerprint
  return to_hex({digest.data(), size});
}

Result<SaeId> identify_sae(const X509* leaf, NameRule rule, const std::map<std::string, SaeId>& pinned) {
  if (!pinned.empty()) {
    if (const auto found = pinned.find(fingerprint_of(leaf)); found != pinned.end()) return found->second;
  }
  const auto name = name_in(leaf, rule);
  if (!name) return std::unexpected(name.error());
  auto sae = SaeId::parse(*name);
  const auto is_this = [&sae](const auto& pin) { return pin.second == *sae; };
  if (sae && std::ranges::any_of(pinned, is_this)) {
    return refuse(fmt::format("\"{}\" is bound to the fingerprint of another certificate", *name));
  }
  return sae;
}

}  // namespace qkms::certs
