#include "certs/tls_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "certs/pem_file.h"
#include "certs/revocation.h"
#include "certs/wall_clock.h"

namespace qkms::certs {

namespace {

// RFC 7301 §3.1: what we speak, the better one first. As a client, the first alone.
constexpr std::array<unsigned char, 18> kHttp = {8, 'h', 't', 't', 'p', '/', '1', '.', '1',
                                                 8, 'h', 't', 't', 'p', '/', '1', '.', '0'};
constexpr unsigned int kHttp11Bytes = 9;
constexpr const char* kTls12Suites = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr const char* kHybridGroups = "X25519MLKEM768:X25519:P-256:P-384";  // OpenSSL 3.5 and later

std::unexpected<Error> refuse(std::string text) { return fail(ErrorCode::kInvalid, std::move(text)); }

// OpenSSL's own purpose check accepts a leaf without extended key usage, one for key agreement only, and a CA. We do
// not: an SAE's CA may also issue certificates for other ends.
int verify_leaf(int chain_is_good, X509_STORE_CTX* context, std::uint32_t usage) {
  if (chain_is_good != 1 || X509_STORE_CTX_get_error_depth(context) != 0) return chain_is_good;
  X509* leaf = X509_STORE_CTX_get_current_cert(context);
  const std::uint32_t flags = X509_get_extension_flags(leaf);
  if ((flags & EXFLAG_CA) != 0) {
    X509_STORE_CTX_set_error(context, X509_V_ERR_INVALID_CA);
    return 0;
  }
  if ((flags & EXFLAG_XKUSAGE) == 0 || (X509_get_extended_key_usage(leaf) & usage) == 0) {
    X509_STORE_CTX_set_error(context, X509_V_ERR_INVALID_PURPOSE);
    return 0;
  }
  if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {  // all bits are set when it has no such extension
    X509_STORE_CTX_set_error(context, X509_V_ERR_INVALID_PURPOSE);
    return 0;
  }
  return 1;
}

// In a handshake. verify_again.cc does the same later on.
int verify_at_judged_time(X509_STORE_CTX* context, void*) {
  X509_STORE_CTX_set_time(context, 0, judged_time());
  return X509_verify_cert(context);
}

int verify_client(int good, X509_STORE_CTX* context) { return verify_leaf(good, context, XKU_SSL_CLIENT); }
int verify_server(int good, X509_STORE_CTX* context) { return verify_leaf(good, context, XKU_SSL_SERVER); }

int select_http(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned int offered_size, void*) {
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, kHttp.data(), kHttp.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 §3.2
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

// The macros for these calls cast const away, which clang refuses.
bool set_groups(SSL_CTX* context, std::string groups) {
  return SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, groups.data()) == 1;
}

bool set_best_groups(SSL_CTX* context) {
  if (set_groups(context, kHybridGroups)) return true;
  openssl_errors();  // this library does not know the hybrid group: nothing to report
  return set_groups(context, kGroups);
}

Result<SslContextPtr> make_bare_context(const SSL_METHOD* method, TlsMinimum minimum) {
  SslContextPtr context(SSL_CTX_new(method));
  if (context == nullptr) return fail(ErrorCode::kInternal, "TLS: " + openssl_errors());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_security_level(raw, 2);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cert_verify_callback(raw, verify_at_judged_time, nullptr);
  SSL_CTX_set_verify_depth(raw, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(raw, kMaxChainBytes);
  // An idle connection keeps no 34 kB of buffers; and what is sent is the chain in the file, without OpenSSL's
  // additions from the CAs that we trust on the other side.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  const int version = minimum == TlsMinimum::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  const bool done = SSL_CTX_set_min_proto_version(raw, version) == 1 &&
                    SSL_CTX_set_cipher_list(raw, kTls12Suites) == 1 && SSL_CTX_set_num_tickets(raw, 0) == 1 &&
                    set_best_groups(raw);
  if (!done) return fail(ErrorCode::kInternal, "TLS: " + openssl_errors());
  return context;
}

Result<void> check_dates(const X509* certificate, const std::filesystem::path& file) {
  const ASN1_TIME* from = X509_get0_notBefore(certificate);
  const ASN1_TIME* to = X509_get0_notAfter(certificate);
  if (compare_with_judged_time(from) >= 0)
    return refuse(fmt::format("{}: not valid before {}", file.string(), time_text(from)));
  if (compare_with_judged_time(to) <= 0) return refuse(fmt::format("{}: expired on {}", file.string(), time_text(to)));
  return {};
}

Result<void> use_own_certificate(SSL_CTX* context, const TlsFiles& files) {
  auto chain = load_certificates(files.certificate);
  if (!chain) return std::unexpected(chain.error());
  const auto key = load_private_key(files.key);
  if (!key) return std::unexpected(key.error());
  if (auto dates = check_dates(chain->front().get(), files.certificate); !dates) return dates;
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return refuse(fmt::format("{}: not usable: {}", files.certificate.string(), openssl_errors()));
  }
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return refuse(
        fmt::format("{}: not the key of {}: {}", files.key.string(), files.certificate.string(), openssl_errors()));
  }
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) == 1) continue;
    return refuse(
        fmt::format("{}: certificate {} is not usable: {}", files.certificate.string(), i + 1, openssl_errors()));
  }
  return {};
}

Result<void> trust(SSL_CTX* context, const TlsFiles& files) {
  const auto cas = load_certificates(files.ca);
  if (!cas) return std::unexpected(cas.error());
  const std::string file = files.ca.string();
  for (const auto& ca : *cas) {
    if (X509_check_ca(ca.get()) == 0) return refuse(fmt::format("{}: has a certificate that is no CA's", file));
    if (auto dates = check_dates(ca.get(), files.ca); !dates) return dates;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get()) != 1 ||
        SSL_CTX_add_client_CA(context, ca.get()) != 1) {
      return refuse(fmt::format("{}: not usable: {}", file, openssl_errors()));
    }
  }
  if (files.crl.empty()) return {};
  auto lists = RevocationLists::load(files.crl, *cas, files.ca);
  if (!lists) return std::unexpected(lists.error());
  return use_lists(SSL_CTX_get_cert_store(context), std::move(*lists));
}

Result<SslContextPtr> make_context(const SSL_METHOD* method, const TlsFiles& files, TlsMinimum minimum) {
  auto context = make_bare_context(method, minimum);
  if (!context) return context;
  if (auto used = use_own_certificate(context->get(), files); !used) return std::unexpected(used.error());
  if (auto trusted = trust(context->get(), files); !trusted) return std::unexpected(trusted.error());
  return context;
}

}  // namespace

Result<SslContextPtr> make_server_context(const TlsFiles& files, TlsMinimum minimum) {
  auto context = make_context(TLS_server_method(), files, minimum);
  if (!context) return context;
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_client);
  SSL_CTX_set_alpn_select_cb(context->get(), select_http, nullptr);
  // Without a session ID context, a client that offers an old session would end the handshake with an error instead of
  // a full one.
  static constexpr std::array<unsigned char, 4> kSessionContext = {'q', 'k', 'm', 's'};
  if (SSL_CTX_set_session_id_context(context->get(), kSessionContext.data(), kSessionContext.size()) != 1) {
    return fail(ErrorCode::kInternal, "TLS: " + openssl_errors());
  }
  return context;
}

Result<SslContextPtr> make_client_context(const TlsFiles& files, TlsMinimum minimum) {
  auto context = make_context(TLS_client_method(), files, minimum);
  if (!context) return context;
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, verify_server);
  if (SSL_CTX_set_alpn_protos(context->get(), kHttp.data(), kHttp11Bytes) != 0) {  // 0 is its success
    return fail(ErrorCode::kInternal, "TLS: " + openssl_errors());
  }
  return context;
}

Expiries expiries_of(SSL_CTX* context) {
  Expiries out;
  const auto take_earlier = [](std::int64_t& earliest, const X509* certificate) {
    earliest = std::min(earliest, unix_s(X509_get0_notAfter(certificate)));
  };
  take_earlier(out.certificate_unix_s, SSL_CTX_get0_certificate(context));
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i) take_earlier(out.certificate_unix_s, sk_X509_value(chain, i));
  const X509_STORE* store = SSL_CTX_get_cert_store(context);
  const STACK_OF(X509_OBJECT)* trusted = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(trusted); ++i) {
    const X509* ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
    if (ca != nullptr) take_earlier(out.ca_unix_s, ca);
  }
  if (const auto* lists = lists_of(store)) out.crl_unix_s = lists->next_update_unix_s();
  return out;
}

}  // namespace qkms::certs
