#include "certs/dev_ca.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "certs/pem_file.h"

namespace qkms::certs {

namespace {

constexpr long kDaySeconds = 24 * 3600;
constexpr long kBackdateSeconds = 300;  // for a machine whose clock is a little late

std::unexpected<Error> refuse_for_openssl(std::string_view doing) {
  return fail(ErrorCode::kInternal, fmt::format("{}: {}", doing, openssl_errors()));
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] &= 0x7f;  // positive (RFC 5280 §4.1.2.2)
  BIGNUM* number = BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  const bool done = number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return done;
}

bool set_common_name(X509* certificate, const std::string& name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8, bytes,
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Result<Credential> make_bare(const std::string& common_name) {
  Credential out{X509Ptr(X509_new()), KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))};
  X509* certificate = out.certificate.get();
  const bool done = certificate != nullptr && out.key != nullptr &&
                    X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
                    set_common_name(certificate, common_name) &&
                    X509_gmtime_adj(X509_getm_notBefore(certificate), -kBackdateSeconds) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(certificate), kDevDays * kDaySeconds) != nullptr &&
                    X509_set_pubkey(certificate, out.key.get()) == 1 &&
                    add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  if (!done) return refuse_for_openssl(fmt::format("certificate \"{}\"", common_name));
  return out;
}

std::string usage_text(CertificateUse use) {
  switch (use) {
    case CertificateUse::kServer:
      return "serverAuth";
    case CertificateUse::kClient:
      return "clientAuth";
    case CertificateUse::kBoth:
      return "serverAuth,clientAuth";
  }
  return "";
}

Result<void> write_pem(const BioPtr& pem, const std::filesystem::path& file, decltype(&write_public_file) write) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(pem.get(), &text);
  return write(file, {reinterpret_cast<const std::uint8_t*>(text), static_cast<std::size_t>(size)});
}

bool is_file_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '.' && std::ranges::all_of(name, allowed);
}

bool is_ip(const std::string& host) {
  in6_addr space;
  return inet_pton(AF_INET, host.c_str(), &space) == 1 || inet_pton(AF_INET6, host.c_str(), &space) == 1;
}

Result<void> check_names(const DevPki& pki) {
  for (const auto* names : {&pki.kmes, &pki.saes, &pki.operators}) {
    for (const auto& name : *names) {
      if (is_file_name(name)) continue;
      return fail(
          ErrorCode::kInvalid,
          fmt::format("name \"{}\"; accepted: 1 to 64 letters, digits, '-', '_', '.' (not in front)", printable(name)));
    }
  }
  for (const auto& host : pki.hosts) {
    if (is_file_name(host) || is_ip(host)) continue;
    return fail(ErrorCode::kInvalid,
                fmt::format("host \"{}\"; accepted: a DNS name or an IP address", printable(host)));
  }
  return {};
}

std::string alternative_name(const std::string& host) { return (is_ip(host) ? "IP:" : "DNS:") + host; }

std::vector<std::string> names_of_kme(const std::string& kme, const std::vector<std::string>& hosts) {
  std::string lower = kme;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::vector<std::string> out = {"DNS:localhost", "IP:127.0.0.1", "IP:::1", "DNS:" + lower};
  for (const auto& host : hosts) out.push_back(alternative_name(host));
  return out;
}

// One CA with all that it issues.
Result<void> make_branch(const std::filesystem::path& folder, const DevPki& pki, const std::string& purpose,
                         CertificateUse kme_use, const std::vector<std::string>& clients) {
  const auto ca = make_dev_ca(purpose);
  if (!ca) return std::unexpected(ca.error());
  if (auto written = write_credential(*ca, folder, purpose + "-ca"); !written) return written;
  const auto issue = [&ca](const std::string& name, CertificateUse use, const std::vector<std::string>& names,
                           const std::filesystem::path& into, const std::string& file) -> Result<void> {
    const auto issued = issue_dev_certificate(*ca, name, use, names);
    if (!issued) return std::unexpected(issued.error());
    return write_credential(*issued, into, file);
  };
  for (const auto& kme : pki.kmes) {
    auto done = issue(kme, kme_use, names_of_kme(kme, pki.hosts), folder / "kme" / kme, purpose);
    if (!done) return done;
  }
  for (const auto& client : clients) {
    auto done = issue(client, CertificateUse::kClient, {}, folder / purpose, client);
    if (!done) return done;
  }
  return {};
}

}  // namespace

Result<Credential> make_dev_ca(const std::string& purpose) {
  auto ca = make_bare("qkms DEVELOPMENT " + purpose + " CA");
  if (!ca) return ca;
  X509* certificate = ca->certificate.get();
  const bool done = X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
                    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                    X509_sign(certificate, ca->key.get(), EVP_sha256()) > 0;
  if (!done) return refuse_for_openssl("development CA");
  return ca;
}

Result<Credential> issue_dev_certificate(const Credential& ca, const std::string& common_name, CertificateUse use,
                                         const std::vector<std::string>& alternative_names) {
  auto leaf = make_bare(common_name);
  if (!leaf) return leaf;
  X509* certificate = leaf->certificate.get();
  X509* issuer = ca.certificate.get();
  bool done = X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
              add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
              add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
              add_extension(certificate, issuer, NID_ext_key_usage, usage_text(use));
  if (!alternative_names.empty()) {
    done = done && add_extension(certificate, issuer, NID_subject_alt_name,
                                 fmt::format("{}", fmt::join(alternative_names, ",")));
  }
  done = done && X509_sign(certificate, ca.key.get(), EVP_sha256()) > 0;
  if (!done) return refuse_for_openssl(fmt::format("certificate \"{}\"", common_name));
  return leaf;
}

Result<void> write_credential(const Credential& credential, const std::filesystem::path& folder,
                              const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{}: cannot be made: {}", folder.string(), error.message()));
  const BioPtr certificate(BIO_new(BIO_s_mem()));
  const BioPtr key(BIO_new(BIO_s_secmem()));  // wiped when it goes
  const bool encoded =
      PEM_write_bio_X509(certificate.get(), credential.certificate.get()) == 1 &&
      PEM_write_bio_PrivateKey(key.get(), credential.key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!encoded) return refuse_for_openssl(name);
  if (auto written = write_pem(key, folder / (name + ".key"), write_private_file); !written) return written;
  return write_pem(certificate, folder / (name + ".crt"), write_public_file);
}

Result<void> make_dev_pki(const std::filesystem::path& folder, const DevPki& pki) {
  if (auto checked = check_names(pki); !checked) return checked;
  std::error_code error;
  if (std::filesystem::exists(folder, error) && !std::filesystem::is_empty(folder, error)) {
    return fail(ErrorCode::kInvalid,
                fmt::format("{}: not empty; accepted: a folder that is new or empty", folder.string()));
  }
  if (auto done = make_branch(folder, pki, "sae", CertificateUse::kServer, pki.saes); !done) return done;
  if (auto done = make_branch(folder, pki, "peer", CertificateUse::kBoth, {}); !done) return done;
  return make_branch(folder, pki, "operator", CertificateUse::kServer, pki.operators);
}

}  // namespace qkms::certs
