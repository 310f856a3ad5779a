#include "certs/openssl.h"

#include <openssl/err.h>

#include <ctime>

#include "base/text.h"
#include "certs/wall_clock.h"

namespace qkms::certs {

namespace {

std::string text_in(const BioPtr& memory) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace

std::string openssl_errors() {
  std::string out;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (!out.empty()) out += "; ";
    out += reason != nullptr ? printable(reason) : "error " + std::to_string(code);
  }
  return out.empty() ? "no reason given" : out;
}

std::string name_text(const X509_NAME* name) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  return printable(text_in(out));
}

std::string time_text(const ASN1_TIME* time) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(out.get(), time);
  return text_in(out);
}

int compare_with_judged_time(const ASN1_TIME* time) {
  std::time_t now = judged_time();
  return X509_cmp_time(time, &now);
}

std::int64_t unix_s(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? std::int64_t{timegm(&parts)} : 0;
}

}  // namespace qkms::certs
