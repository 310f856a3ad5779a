// Any bytes as the body of enc_keys and of dec_keys: no harm, and a refusal that can be shown to the caller.
#include <cstdint>
#include <string_view>

#include "api/etsi014/request.h"
#include "api/etsi014/response.h"
#include "api/json_reader.h"
#include "api/repetition.h"
#include "base/text.h"
#include "fuzz/require.h"

namespace {

using qkms::fuzz::require;
namespace etsi014 = qkms::api::etsi014;

void check_refusal(const qkms::Error& error) {
  require(qkms::api::read_json(etsi014::error_body(error.text)).has_value(), "an Error body is JSON");
  require(error.text == qkms::printable(error.text, error.text.size()), "a message holds nothing unprintable");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  if (const auto request = etsi014::parse_key_request_body(json)) {
    require(!qkms::api::has_repetition(request->additional_slaves), "no additional slave comes twice");
  } else {
    check_refusal(request.error());
  }
  if (const auto ids = etsi014::parse_key_ids_body(json)) {
    require(!ids->empty() && !qkms::api::has_repetition(*ids), "at least one key ID, and none twice");
  } else {
    check_refusal(ids.error());
  }
  return 0;
}
