#include "certs/revocation.h"

#include <fmt/format.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "certs/pem_file.h"

namespace qkms::certs {

namespace {

using CrlPointsPtr = std::unique_ptr<CRL_DIST_POINTS, Freer<CRL_DIST_POINTS_free>>;
using Text = std::optional<std::string>;  // what is wrong; nothing: all is well

constexpr int kMinDigestBytes = 28;  // as OpenSSL's security level 2 asks of certificates: no SHA-1
constexpr int kFullName = 0;         // of DIST_POINT_NAME::type

std::unexpected<Error> refuse(std::string text) { return fail(ErrorCode::kInvalid, std::move(text)); }

bool is_past(const ASN1_TIME* time) { return compare_with_judged_time(time) < 0; }

bool is_current(const X509_CRL* crl) {
  return is_past(X509_CRL_get0_lastUpdate(crl)) && compare_with_judged_time(X509_CRL_get0_nextUpdate(crl)) > 0;
}

Text wrong_dates(const X509_CRL* crl) {
  const ASN1_TIME* from = X509_CRL_get0_lastUpdate(crl);
  const ASN1_TIME* to = X509_CRL_get0_nextUpdate(crl);
  if (to == nullptr) return "has no date of its next update; accepted: lists as of RFC 5280";
  if (!is_past(from)) return fmt::format("is not valid before {}; look at the clock", time_text(from));
  if (is_past(to)) return fmt::format("ended on {}; get its CA's newest", time_text(to));
  return std::nullopt;
}

// A critical extension that is not understood makes a list useless (RFC 5280 §5.2, §5.3); those that are understood:
bool is_known_extension(const X509_EXTENSION* extension) {
  switch (OBJ_obj2nid(X509_EXTENSION_get_object(const_cast<X509_EXTENSION*>(extension)))) {
    case NID_issuing_distribution_point:
    case NID_authority_key_identifier:
    case NID_crl_number:
    case NID_crl_reason:
    case NID_invalidity_date:
      return true;
    default:
      return false;
  }
}

bool has_unknown_critical(const STACK_OF(X509_EXTENSION) * extensions) {
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions); ++i) {
    const X509_EXTENSION* extension = sk_X509_EXTENSION_value(extensions, i);
    if (X509_EXTENSION_get_critical(extension) != 0 && !is_known_extension(extension)) return true;
  }
  return false;
}

Text wrong_extensions(X509_CRL* crl) {
  if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0) return "is a delta; accepted: full lists";
  if (has_unknown_critical(X509_CRL_get0_extensions(crl))) return "has a critical extension that is not known here";
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    if (has_unknown_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(entries, i))))
      return "has an entry with a critical extension that is not known here, or is indirect; accepted: direct lists";
  }
  return std::nullopt;
}

Text wrong_scope(const ISSUING_DIST_POINT& scope) {
  if (scope.indirectCRL > 0) return "is indirect; accepted: lists of a CA's own certificates";
  if (scope.onlysomereasons != nullptr) return "is for some reasons only; accepted: for all reasons";
  if (scope.onlyattr > 0) return "is for attribute certificates";
  if (scope.distpoint != nullptr && scope.distpoint->type != kFullName)
    return "has a distribution point with a relative name; accepted: a full name";
  return std::nullopt;
}

// RFC 4055 §3.1: the digest of an RSASSA-PSS signature is in its parameters, and SHA-1 when it is not.
int pss_digest(const X509_CRL* crl) {
  const X509_ALGOR* algorithm = nullptr;
  X509_CRL_get0_signature(crl, nullptr, &algorithm);
  const std::unique_ptr<RSA_PSS_PARAMS, Freer<RSA_PSS_PARAMS_free>> parameters(
      static_cast<RSA_PSS_PARAMS*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter)));
  if (parameters == nullptr || parameters->hashAlgorithm == nullptr) return NID_sha1;
  return OBJ_obj2nid(parameters->hashAlgorithm->algorithm);
}

Text weak_signature(const X509_CRL* crl) {
  const int kind = X509_CRL_get_signature_nid(crl);
  if (kind == NID_ED25519 || kind == NID_ED448) return std::nullopt;  // with a digest of their own
  int digest = NID_undef, key = NID_undef;
  OBJ_find_sigid_algs(kind, &digest, &key);
  if (kind == NID_rsassaPss) digest = pss_digest(crl);
  const EVP_MD* found = digest == NID_undef ? nullptr : EVP_get_digestbynid(digest);
  if (found != nullptr && EVP_MD_get_size(found) >= kMinDigestBytes) return std::nullopt;
  return "is signed with a digest that is too weak; accepted: SHA-256 or better";
}

// The CA of that name whose key verifies the list.
const X509* signer_among(const std::vector<X509Ptr>& cas, X509_CRL* crl) {
  for (const auto& ca : cas) {
    if (X509_NAME_cmp(X509_get_subject_name(ca.get()), X509_CRL_get_issuer(crl)) != 0) continue;
    if ((X509_get_key_usage(ca.get()) & KU_CRL_SIGN) == 0) continue;  // all bits are set when it has no such extension
    if (X509_CRL_verify(crl, X509_get0_pubkey(ca.get())) == 1) return ca.get();
  }
  openssl_errors();
  return nullptr;
}

bool have_a_name_in_common(const GENERAL_NAMES* some, const GENERAL_NAMES* others) {
  for (int i = 0; i < sk_GENERAL_NAME_num(some); ++i) {
    for (int j = 0; j < sk_GENERAL_NAME_num(others); ++j) {
      if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(some, i), sk_GENERAL_NAME_value(others, j)) == 0) return true;
    }
  }
  return false;
}

// RFC 5280 §6.3.3 (b) (2) (i): the certificate names the list's distribution point as its own.
bool has_point(const X509* certificate, const DIST_POINT_NAME* point) {
  const CrlPointsPtr points(
      static_cast<CRL_DIST_POINTS*>(X509_get_ext_d2i(certificate, NID_crl_distribution_points, nullptr, nullptr)));
  for (int i = 0; i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT* one = sk_DIST_POINT_value(points.get(), i);
    if (one->CRLissuer != nullptr || one->distpoint == nullptr || one->distpoint->type != kFullName) continue;
    if (have_a_name_in_common(one->distpoint->name.fullname, point->name.fullname)) return true;
  }
  return false;
}

bool covers(const ISSUING_DIST_POINT* scope, X509* certificate) {
  if (scope == nullptr) return true;
  const bool is_ca = (X509_get_extension_flags(certificate) & EXFLAG_CA) != 0;  // as in the handshake's own rule
  if ((is_ca && scope->onlyuser > 0) || (!is_ca && scope->onlyCA > 0)) return false;
  return scope->distpoint == nullptr || has_point(certificate, scope->distpoint);
}

// The hook in OpenSSL's verification, after the chain was built and before its signatures are verified. No callback
// that could overrule it is asked.
int check_revocation(X509_STORE_CTX* context) {
  const RevocationLists* lists = lists_of(X509_STORE_CTX_get0_store(context));
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context);
  for (int i = 0; i + 1 < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    const int verdict =
        lists == nullptr ? X509_V_ERR_UNABLE_TO_GET_CRL : lists->verdict_on(certificate, sk_X509_value(chain, i + 1));
    if (verdict == X509_V_OK) continue;
    X509_STORE_CTX_set_error(context, verdict);
    X509_STORE_CTX_set_error_depth(context, i);
    X509_STORE_CTX_set_current_cert(context, certificate);
    return 0;
  }
  return 1;
}

void free_lists(void*, void* lists, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<RevocationLists*>(lists); }

int slot() {
  static const int index = X509_STORE_get_ex_new_index(0, nullptr, nullptr, nullptr, free_lists);
  return index;
}

}  // namespace

Result<RevocationLists::List> RevocationLists::checked(CrlPtr crl, const std::vector<X509Ptr>& cas) {
  if (auto wrong = wrong_dates(crl.get())) return refuse(*wrong);
  if (auto wrong = wrong_extensions(crl.get())) return refuse(*wrong);
  int critical = 0;
  ScopePtr scope(static_cast<ISSUING_DIST_POINT*>(
      X509_CRL_get_ext_d2i(crl.get(), NID_issuing_distribution_point, &critical, nullptr)));
  if (scope == nullptr && critical != -1) return refuse("has a scope that cannot be read");  // -1: there is none
  if (scope != nullptr) {
    if (auto wrong = wrong_scope(*scope)) return refuse(*wrong);
  }
  if (auto wrong = weak_signature(crl.get())) return refuse(*wrong);
  const X509* signer = signer_among(cas, crl.get());
  if (signer == nullptr) return refuse("is not signed by one of the CAs");
  return List{std::move(crl), KeyPtr(X509_get_pubkey(const_cast<X509*>(signer))), std::move(scope)};
}

Result<std::unique_ptr<const RevocationLists>> RevocationLists::load(const std::filesystem::path& file,
                                                                     const std::vector<X509Ptr>& cas,
                                                                     const std::filesystem::path& ca_file) {
  auto crls = load_crls(file);
  if (!crls) return std::unexpected(crls.error());
  auto out = std::make_unique<RevocationLists>();
  for (auto& crl : *crls) {
    const std::string issuer = name_text(X509_CRL_get_issuer(crl.get()));
    auto list = checked(std::move(crl), cas);
    if (!list) {
      return refuse(fmt::format("{}: the revocation list of \"{}\" {} (the CAs are those in {})", file.string(), issuer,
                                list.error().text, ca_file.string()));
    }
    out->lists_.push_back(std::move(*list));
  }
  for (const auto& ca : cas) {
    if (std::ranges::any_of(out->lists_, [&ca](const List& list) { return is_by(list, ca.get()); })) continue;
    return refuse(
        fmt::format("{}: has no revocation list of \"{}\", a CA in {}, so that all its certificates would be "
                    "refused; add the list or take the CA out",
                    file.string(), name_text(X509_get_subject_name(ca.get())), ca_file.string()));
  }
  return out;
}

bool RevocationLists::is_by(const List& list, const X509* issuer) {
  return X509_NAME_cmp(X509_CRL_get_issuer(list.crl.get()), X509_get_subject_name(issuer)) == 0 &&
         EVP_PKEY_eq(list.signer.get(), X509_get0_pubkey(issuer)) == 1;
}

int RevocationLists::verdict_on(X509* certificate, const X509* issuer) const {
  int verdict = X509_V_ERR_UNABLE_TO_GET_CRL;
  for (const List& list : lists_) {
    if (!is_by(list, issuer) || !covers(list.scope.get(), certificate)) continue;
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(list.crl.get(), &entry, certificate) != 0) return X509_V_ERR_CERT_REVOKED;
    if (is_current(list.crl.get())) {
      verdict = X509_V_OK;
    } else if (verdict != X509_V_OK) {
      verdict = X509_V_ERR_CRL_HAS_EXPIRED;
    }
  }
  return verdict;
}

std::int64_t RevocationLists::next_update_unix_s() const {
  std::int64_t earliest = INT64_MAX;
  for (const List& list : lists_) earliest = std::min(earliest, unix_s(X509_CRL_get0_nextUpdate(list.crl.get())));
  return earliest;
}

Result<void> use_lists(X509_STORE* store, std::unique_ptr<const RevocationLists> lists) {
  if (X509_STORE_set_ex_data(store, slot(), const_cast<RevocationLists*>(lists.get())) != 1)
    return fail(ErrorCode::kInternal, "revocation lists: " + openssl_errors());
  (void)lists.release();
  X509_STORE_set_check_revocation(store, check_revocation);
  return {};
}

const RevocationLists* lists_of(const X509_STORE* store) {
  return static_cast<const RevocationLists*>(X509_STORE_get_ex_data(store, slot()));
}

}  // namespace qkms::certs
