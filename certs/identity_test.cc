// Threats T06 (names that could be read in two ways), T07 (serial numbers) and T19 (letters that look alike).
#include "certs/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "certs/test_certificates.h"

namespace qkms::certs {
namespace {

using testing::HasSubstr;
using Rule = NameRule;

struct NameCase {
  const char* name;
  std::vector<NamePart> subject;
  std::vector<AlternativeName> alternative_names;
  Rule rule;
  std::string expected;  // "": refused
};

const std::vector<NamePart> kCn = {{NID_commonName, "SAE-A"}};
const std::vector<NamePart> kDn = {{NID_countryName, "AT", V_ASN1_PRINTABLESTRING},
                                   {NID_organizationName, "Ministry, of+\"things\""},
                                   {NID_commonName, "enc/1"}};

TEST(Identity, ReadsOneNameByTheRule) {  // T06, T19
  const NameCase cases[] = {
      {"CN when there is no URI", kCn, {}, Rule::kUriElseCommonName, "SAE-A"},
      {"URI before CN", kCn, {{GEN_URI, "urn:sae:b"}}, Rule::kUriElseCommonName, "urn:sae:b"},
      {"DNS is no URI", kCn, {{GEN_DNS, "b.example"}}, Rule::kUriElseCommonName, "SAE-A"},
      {"two URIs do not fall back to the CN",
       kCn,
       {{GEN_URI, "urn:a"}, {GEN_URI, "urn:b"}},
       Rule::kUriElseCommonName,
       ""},
      {"the same URI twice", kCn, {{GEN_URI, "urn:a"}, {GEN_URI, "urn:a"}}, Rule::kUri, ""},
      {"URI with NUL does not fall back to the CN",
       kCn,
       {{GEN_URI, std::string("urn:a\0b", 7)}},
       Rule::kUriElseCommonName,
       ""},
      {"empty URI does not count as none", kCn, {{GEN_URI, ""}}, Rule::kUri, ""},
      {"CN right, URI wrong", kCn, {{GEN_URI, "urn:other"}}, Rule::kUri, "urn:other"},
      {"CN right, no URI", kCn, {}, Rule::kUri, ""},
      {"URI right, CN wrong", {{NID_commonName, "other"}}, {{GEN_URI, "urn:a"}}, Rule::kCommonName, "other"},
      {"DNS", kCn, {{GEN_DNS, "a.example"}}, Rule::kDns, "a.example"},
      {"DNS beside URI", kCn, {{GEN_DNS, "a.example"}, {GEN_URI, "urn:a"}}, Rule::kDns, "a.example"},
      {"two DNS", kCn, {{GEN_DNS, "a.example"}, {GEN_DNS, "b.example"}}, Rule::kDns, ""},
      {"wildcard", kCn, {{GEN_DNS, "*.example"}}, Rule::kDns, ""},
      {"DNS with NUL", kCn, {{GEN_DNS, std::string("a.example\0.evil", 15)}}, Rule::kDns, ""},
      {"no DNS", kCn, {}, Rule::kDns, ""},
      {"e-mail is nothing", kCn, {{GEN_EMAIL, "a@example"}}, Rule::kUri, ""},
      {"no CN", {{NID_organizationName, "O"}}, {}, Rule::kCommonName, ""},
      {"two CNs", {{NID_commonName, "SAE-A"}, {NID_commonName, "SAE-B"}}, {}, Rule::kCommonName, ""},
      {"two CNs in one RDN",
       {{NID_commonName, "SAE-A"}, {NID_commonName, "SAE-B", V_ASN1_UTF8STRING, -1}},
       {},
       Rule::kCommonName,
       ""},
      {"CN in an RDN with O",
       {{NID_commonName, "SAE-A"}, {NID_organizationName, "O", V_ASN1_UTF8STRING, -1}},
       {},
       Rule::kCommonName,
       "SAE-A"},
      {"CN with /,+", {{NID_commonName, "a/b,c+d=e"}}, {}, Rule::kCommonName, "a/b,c+d=e"},
      {"CN as BMPString",
       {{NID_commonName, std::string("\0S\0A\0E", 6), V_ASN1_BMPSTRING}},
       {},
       Rule::kCommonName,
       "SAE"},
      {"CN with NUL", {{NID_commonName, std::string("SAE-A\0x", 7)}}, {}, Rule::kCommonName, ""},
      {"CN with a newline", {{NID_commonName, "SAE-A\n"}}, {}, Rule::kCommonName, ""},
      {"CN with a blank at the end", {{NID_commonName, "SAE-A "}}, {}, Rule::kCommonName, ""},
      {"CN in full width", {{NID_commonName, "\xef\xbc\xa1"}}, {}, Rule::kCommonName, ""},
      {"CN of ill-formed UTF-8", {{NID_commonName, "\xc0\xaf"}}, {}, Rule::kCommonName, ""},
      {"case is kept", {{NID_commonName, "sae-a"}}, {}, Rule::kCommonName, "sae-a"},
      {"whole subject", kDn, {}, Rule::kSubject, "CN=enc/1,O=Ministry\\, of\\+\\\"things\\\",C=AT"},
      {"subject with a letter beyond ASCII", {{NID_commonName, "\xc3\x96"}}, {}, Rule::kSubject, "CN=\\C3\\96"},
      {"subject with a multi-valued RDN",
       {{NID_commonName, "a"}, {NID_organizationName, "O", V_ASN1_UTF8STRING, -1}},
       {},
       Rule::kSubject,
       "O=O+CN=a"},
      {"comma in a CN is no second part", {{NID_commonName, "a,O=O"}}, {}, Rule::kSubject, "CN=a\\,O=O"},
      {"subject with NUL", {{NID_commonName, std::string("a\0b", 3)}}, {}, Rule::kSubject, ""},
      {"empty subject", {}, {{GEN_DNS, "a.example"}}, Rule::kSubject, ""},
      {"empty subject by CN", {}, {{GEN_DNS, "a.example"}}, Rule::kUriElseCommonName, ""},
  };
  for (const auto& c : cases) {
    CertificateSpec spec;
    spec.subject = c.subject;
    spec.alternative_names = c.alternative_names;
    const Credential made = make_certificate(spec);
    const auto name = name_in(made.certificate.get(), c.rule);
    EXPECT_EQ(name.has_value(), !c.expected.empty()) << c.name << ": " << (name ? *name : name.error().text);
    if (name) {
      EXPECT_EQ(*name, c.expected) << c.name;
    } else {
      EXPECT_EQ(name.error().code, ErrorCode::kUnauthorised) << c.name;
    }
  }
}

TEST(Identity, RefusesAHugeNameWithoutRepeatingIt) {  // T06, T13: 10 KB
  CertificateSpec spec;
  spec.subject.clear();
  const Credential made = make_certificate(spec);
  const std::string huge(10'000, 'x');  // OpenSSL bounds a CN to 64 when asked politely, so it is set raw
  X509_NAME* subject = X509_NAME_new();
  X509_NAME_ENTRY* entry = X509_NAME_ENTRY_new();
  X509_NAME_ENTRY_set_object(entry, OBJ_nid2obj(NID_commonName));
  ASN1_STRING_set(X509_NAME_ENTRY_get_data(entry), huge.data(), static_cast<int>(huge.size()));
  X509_NAME_add_entry(subject, entry, -1, 0);
  X509_set_subject_name(made.certificate.get(), subject);
  X509_NAME_ENTRY_free(entry);
  X509_NAME_free(subject);
  for (const auto rule : {Rule::kCommonName, Rule::kSubject}) {
    const auto name = name_in(made.certificate.get(), rule);
    ASSERT_FALSE(name);
    EXPECT_LT(name.error().text.size(), 300u);
  }
}

TEST(Identity, RefusesAlternativeNamesThatAreThereTwice) {  // T06
  CertificateSpec spec;
  spec.alternative_names = {{GEN_URI, "urn:a"}};
  spec.extensions.emplace_back(NID_subject_alt_name, "URI:urn:b");
  const Credential made = make_certificate(spec);
  EXPECT_FALSE(name_in(made.certificate.get(), Rule::kUri));
  EXPECT_FALSE(name_in(made.certificate.get(), Rule::kUriElseCommonName));
}

TEST(Identity, IgnoresAnOtherName) {  // T06: the shape of CVE-2024-6119
  CertificateSpec spec;
  spec.extensions.emplace_back(NID_subject_alt_name, "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:urn:a");
  const Credential made = make_certificate(spec);
  EXPECT_FALSE(name_in(made.certificate.get(), Rule::kUri));
  EXPECT_EQ(name_in(made.certificate.get(), Rule::kUriElseCommonName).value_or(""), "SAE-A");
}

SaeId sae(std::string_view text) { return *SaeId::parse(text); }

TEST(Identity, BindsAnSaeToItsFingerprintAlone) {  // T06
  CertificateSpec spec;
  spec.subject = {{NID_commonName, "SAE-A"}};
  const Credential right = make_certificate(spec), other = make_certificate(spec);
  const std::map<std::string, SaeId> by_own_name = {{fingerprint_of(right.certificate.get()), sae("SAE-A")}};
  EXPECT_EQ(identify_sae(right.certificate.get(), Rule::kUri, by_own_name).value_or(SaeId()), sae("SAE-A"))
      << "needs no name";
  const auto refused = identify_sae(other.certificate.get(), Rule::kCommonName, by_own_name);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("bound to the fingerprint"));

  const std::map<std::string, SaeId> by_another = {{fingerprint_of(right.certificate.get()), sae("SAE-X")}};
  EXPECT_EQ(identify_sae(right.certificate.get(), Rule::kCommonName, by_another).value_or(SaeId()), sae("SAE-X"));
  EXPECT_EQ(identify_sae(other.certificate.get(), Rule::kCommonName, by_another).value_or(SaeId()), sae("SAE-A"));
}

TEST(Identity, DoesNotMergeEqualSerialsOfTwoCas) {  // T07
  const Credential first = make_certificate(ca_spec("CA 1")), second = make_certificate(ca_spec("CA 2"));
  CertificateSpec a, b;
  b.subject = {{NID_commonName, "SAE-B"}};
  const Credential at_first = make_certificate(a, &first), at_second = make_certificate(b, &second);
  EXPECT_EQ(*name_in(at_first.certificate.get(), Rule::kCommonName), "SAE-A");
  EXPECT_EQ(*name_in(at_second.certificate.get(), Rule::kCommonName), "SAE-B");
  EXPECT_NE(fingerprint_of(at_first.certificate.get()), fingerprint_of(at_second.certificate.get()));
}

TEST(Identity, FingerprintIsSha256InLowerCase) {
  const Credential made = make_certificate({});
  const std::string text = fingerprint_of(made.certificate.get());
  EXPECT_EQ(text.size(), 64u);
  EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST(Identity, HasNoLeafBeforeAHandshake) {
  const SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  const SslPtr ssl(SSL_new(context.get()));
  const auto leaf = verified_leaf(ssl.get());
  ASSERT_FALSE(leaf);
  EXPECT_EQ(leaf.error().code, ErrorCode::kUnauthorised);
}

}  // namespace
}  // namespace qkms::certs
