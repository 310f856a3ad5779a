// Any bytes as a request target, and its query as that of both GET forms: no harm, and only valid IDs get through.
#include <cstdint>
#include <string_view>

#include "api/etsi014/request.h"
#include "api/etsi014/target.h"
#include "api/repetition.h"
#include "fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using qkms::ErrorCode;
  using qkms::fuzz::require;
  namespace etsi014 = qkms::api::etsi014;

  const auto target = etsi014::parse_target({reinterpret_cast<const char*>(data), size});
  if (!target) {
    const ErrorCode code = target.error().code;
    require(code == ErrorCode::kInvalid || code == ErrorCode::kNotFound, "a refusal is kInvalid or kNotFound");
    return 0;
  }
  require(qkms::is_valid_id(target->sae.str()), "the SAE ID is valid");
  require(!qkms::api::has_repetition(target->query, &etsi014::Parameter::name), "no parameter comes twice");
  if (const auto request = etsi014::parse_key_request_query(target->query)) {
    require(request->additional_slaves.empty(), "a GET names no additional slaves");
  }
  if (const auto ids = etsi014::parse_key_ids_query(target->query)) require(ids->size() == 1, "a GET names one key ID");
  return 0;
}
