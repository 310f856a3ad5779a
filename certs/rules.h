// The choices that an operator has about certificates and TLS, as the configuration states them.
#pragma once

namespace qkms::certs {

// How a name is read from a verified leaf certificate (shared decision 16 on ETSI GS QKD 014).
enum class NameRule {
  kUriElseCommonName,  // the SAN URI where there is one, else the subject's CN
  kUri,
  kDns,
  kCommonName,
  kSubject,  // the whole subject as RFC 2253 text, for example CN=enc 1,O=Ministry,C=AT
};

enum class TlsMinimum { k1_2, k1_3 };

}  // namespace qkms::certs
