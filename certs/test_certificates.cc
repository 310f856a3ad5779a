#include "certs/test_certificates.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <iostream>

namespace qkms::certs {

namespace {

void require(bool done, const char* what) {
  if (done) return;
  std::cerr << "test certificate: " << what << ": " << openssl_errors() << '\n';
  std::abort();
}

KeyPtr make_key(const std::string& kind) {
  if (kind == "ED25519") return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (kind.starts_with("RSA-")) return KeyPtr(EVP_RSA_gen(static_cast<unsigned>(std::stoul(kind.substr(4)))));
  return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str()));
}

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

void set_subject(X509* certificate, const std::vector<NamePart>& parts) {
  for (const auto& part : parts) {
    require(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), part.nid, part.type, bytes_of(part.bytes),
                                       static_cast<int>(part.bytes.size()), -1, part.set) == 1,
            "subject");
  }
}

GeneralNamesPtr general_names(const std::vector<AlternativeName>& names) {
  GeneralNamesPtr all(GENERAL_NAMES_new());
  for (const auto& name : names) {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name.bytes.data(), static_cast<int>(name.bytes.size()));
    GENERAL_NAME* entry = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(entry, name.type, text);
    sk_GENERAL_NAME_push(all.get(), entry);
  }
  return all;
}

void set_alternative_names(X509* certificate, const std::vector<AlternativeName>& names) {
  if (names.empty()) return;
  const GeneralNamesPtr all = general_names(names);
  require(X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, X509V3_ADD_APPEND) == 1,
          "alternative names");
}

void add_extensions(X509* certificate, X509* issuer, const std::vector<std::pair<int, std::string>>& extensions) {
  const std::unique_ptr<CONF, Freer<NCONF_free>> empty(NCONF_new(nullptr));  // policies want to have one
  for (const auto& [nid, value] : extensions) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509V3_set_nconf(&context, empty.get());
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    require(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
  }
}

using TimePtr = std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>>;

TimePtr in_time(int days, long seconds = 0) { return TimePtr(X509_time_adj_ex(nullptr, days, seconds, nullptr)); }

void revoke(X509_CRL* crl, const ASN1_INTEGER* serial, GENERAL_NAMES* issuer = nullptr) {
  X509_REVOKED* entry = X509_REVOKED_new();
  const TimePtr when = in_time(-1);
  X509_REVOKED_set_serialNumber(entry, const_cast<ASN1_INTEGER*>(serial));
  X509_REVOKED_set_revocationDate(entry, when.get());
  if (issuer != nullptr) {
    require(X509_REVOKED_add1_ext_i2d(entry, NID_certificate_issuer, issuer, 1, 0) == 1, "certificate issuer");
  }
  require(X509_CRL_add0_revoked(crl, entry) == 1, "entry");
}

Credential make_certificate_for(KeyPtr key, const CertificateSpec& spec, const Credential* issuer) {
  Credential out{X509Ptr(X509_new()), std::move(key)};
  X509* certificate = out.certificate.get();
  require(certificate != nullptr && out.key != nullptr, "key");
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), spec.serial);
  X509_time_adj_ex(X509_getm_notBefore(certificate), spec.from_days, 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(certificate), spec.to_days, spec.to_seconds, nullptr);
  X509_set_pubkey(certificate, out.key.get());
  set_subject(certificate, spec.subject);
  X509* from = issuer != nullptr ? issuer->certificate.get() : certificate;
  EVP_PKEY* signer = issuer != nullptr ? issuer->key.get() : out.key.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(from));
  set_alternative_names(certificate, spec.alternative_names);
  add_extensions(certificate, from, spec.extensions);
  const EVP_MD* digest = EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? nullptr : EVP_get_digestbyname(spec.digest);
  require(X509_sign(certificate, signer, digest) > 0, "signature");
  return out;
}

}  // namespace

std::vector<std::pair<int, std::string>> ca_extensions_and(int nid, std::string value) {
  auto out = kCaExtensions;
  std::erase_if(out, [nid](const auto& extension) { return extension.first == nid; });
  out.emplace_back(nid, std::move(value));
  return out;
}

CertificateSpec ca_spec(const std::string& name) {
  CertificateSpec spec;
  spec.subject = {{NID_commonName, name}};
  spec.extensions = kCaExtensions;
  return spec;
}

Credential make_certificate(const CertificateSpec& spec, const Credential* issuer) {
  return make_certificate_for(make_key(spec.key), spec, issuer);
}

Credential certify(const Credential& who, const CertificateSpec& spec, const Credential& issuer) {
  EVP_PKEY_up_ref(who.key.get());
  return make_certificate_for(KeyPtr(who.key.get()), spec, &issuer);
}

std::string make_crl(const CrlSpec& spec, const Credential& issuer) {
  const CrlPtr crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.certificate.get()));
  X509_CRL_set1_lastUpdate(crl.get(), in_time(spec.from_days).get());
  if (spec.to_seconds) X509_CRL_set1_nextUpdate(crl.get(), in_time(0, *spec.to_seconds).get());
  for (const auto* credential : spec.revoked) revoke(crl.get(), X509_get0_serialNumber(credential->certificate.get()));
  const std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>> serial(ASN1_INTEGER_new());
  for (int i = 0; i < spec.more_entries; ++i) {
    ASN1_INTEGER_set(serial.get(), 1'000'000L + i);
    revoke(crl.get(), serial.get());
  }
  if (!spec.entry_of_another_issuer.empty()) {
    ASN1_INTEGER_set(serial.get(), 999'999);
    revoke(crl.get(), serial.get(), general_names({{GEN_DNS, spec.entry_of_another_issuer}}).get());
  }
  for (const auto& [nid, value] : spec.extensions) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer.certificate.get(), nullptr, nullptr, crl.get(), 0);
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    require(extension != nullptr && X509_CRL_add_ext(crl.get(), extension.get(), -1) == 1, value.c_str());
  }
  const std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> signing(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key = nullptr;
  require(EVP_DigestSignInit(signing.get(), &key, EVP_get_digestbyname(spec.digest), nullptr, issuer.key.get()) == 1,
          "revocation list");
  if (spec.padding == CrlSpec::RsaPadding::kPss)
    require(EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1, "padding");
  require(X509_CRL_sign_ctx(crl.get(), signing.get()) > 0, "revocation list");
  const BioPtr out(BIO_new(BIO_s_mem()));
  require(PEM_write_bio_X509_CRL(out.get(), crl.get()) == 1, "revocation list");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

SslContextPtr make_careless_client(const ClientIdentity& identity) {
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  if (identity.leaf != nullptr) {
    require(SSL_CTX_use_certificate(context.get(), identity.leaf->certificate.get()) == 1, "client certificate");
    require(SSL_CTX_use_PrivateKey(context.get(), identity.leaf->key.get()) == 1, "client key");
  }
  for (const auto* link : identity.chain) SSL_CTX_add1_chain_cert(context.get(), link->certificate.get());
  return context;
}

Handshake shake_hands(SSL_CTX* server, SSL_CTX* client, SSL_SESSION* session) {
  Handshake out{false, X509_V_OK, SslPtr(SSL_new(server)), SslPtr(SSL_new(client))};
  BIO *server_end = nullptr, *client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, 1 << 17, &client_end, 1 << 17) == 1, "pair");
  SSL_set_bio(out.server.get(), server_end, server_end);
  SSL_set_bio(out.client.get(), client_end, client_end);
  SSL_set_accept_state(out.server.get());
  SSL_set_connect_state(out.client.get());
  if (session != nullptr) SSL_set_session(out.client.get(), session);
  const auto wants_more = [](SSL* ssl, int result) {
    const int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  };
  for (int round = 0; round < 20; ++round) {
    const int at_client = SSL_do_handshake(out.client.get());
    if (at_client != 1 && !wants_more(out.client.get(), at_client)) break;
    const int at_server = SSL_do_handshake(out.server.get());
    if (at_server != 1 && !wants_more(out.server.get(), at_server)) break;
    out.done = at_client == 1 && at_server == 1;
    if (out.done) break;
  }
  out.verify_result = SSL_get_verify_result(out.server.get());
  openssl_errors();
  return out;
}

}  // namespace qkms::certs
