// A development PKI: certificates that are good for demonstrations and tests, and say so in their issuer's name.
// NOT FOR PRODUCTION: the CAs' keys lie unencrypted beside their certificates, and everything expires after 30 days.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "certs/openssl.h"

namespace qkms::certs {

inline constexpr int kDevDays = 30;

enum class CertificateUse {
  kServer,
  kClient,
  kBoth,  // a peer KME: it listens and connects
};

struct Credential {
  X509Ptr certificate;
  KeyPtr key;  // P-256
};

// "qkms DEVELOPMENT <purpose> CA", self-signed.
Result<Credential> make_dev_ca(const std::string& purpose);

// `alternative_names` in OpenSSL's notation: DNS:kme-a, IP:127.0.0.1, URI:urn:x.
Result<Credential> issue_dev_certificate(const Credential& ca, const std::string& common_name, CertificateUse use,
                                         const std::vector<std::string>& alternative_names);

// Writes FOLDER/NAME.crt (everybody may read it) and FOLDER/NAME.key (0600). Never overwrites a file.
Result<void> write_credential(const Credential& credential, const std::filesystem::path& folder,
                              const std::string& name);

struct DevPki {
  std::vector<std::string> kmes;
  std::vector<std::string> saes;
  std::vector<std::string> operators;
  std::vector<std::string> hosts;  // further DNS names or IP addresses of all KMEs
};

// Makes, in a folder that is new or empty:
//   sae-ca, peer-ca, operator-ca                the CAs (.crt and .key, as below)
//   kme/<KME>/sae, peer, operator               what each KME's listeners show; good for localhost, 127.0.0.1, ::1, the
//   KME ID in
//                                               lower case, and `hosts`
//   sae/<SAE>, operator/<operator>              what clients show
// Names become file names, so only letters, digits, '-', '_' and '.' (not in front) are accepted here.
Result<void> make_dev_pki(const std::filesystem::path& folder, const DevPki& pki);

}  // namespace qkms::certs
