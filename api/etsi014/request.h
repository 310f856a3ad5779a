// The requests of ETSI GS QKD 014 V1.1.1 §6.2 and §6.4, from JSON bodies or query parameters to values.
// Here it is decided whether a request is well-formed. Whether it is within the operator's limits, and whether its SAEs
// are known and entitled, is the engine's part. Messages name the parameter and what is accepted, and repeat none of
// the input. Which extensions are known is the caller's part too: here they are names and values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/etsi014/target.h"
#include "api/json_reader.h"
#include "base/error.h"
#include "base/id.h"

namespace qkms::api::etsi014 {

inline constexpr std::uint64_t kNoCount = UINT64_MAX;

struct Extension {
  std::string name;
  JsonValue value;
};

// Absent members mean the KME's defaults. The limits are the engine's, and so is saying which they are: what is no
// integer in decimal digits from 0 to 2^63 - 1 comes as kNoCount, which is within no limits.
struct KeyRequestBody {
  std::optional<std::uint64_t> number;
  std::optional<std::uint64_t> size_bits;
  std::vector<SaeId> additional_slaves;        // no two alike
  std::vector<Extension> mandatory, optional;  // the members of all objects in the arrays, in their order
};

// An empty text is the same as {} (shared decision 6). Errors: kInvalid.
Result<KeyRequestBody> parse_key_request_body(std::string_view json);
Result<KeyRequestBody> parse_key_request_query(const Parameters& query);

// At least one ID, no two alike. Errors: kInvalid.
Result<std::vector<KeyId>> parse_key_ids_body(std::string_view json);
Result<std::vector<KeyId>> parse_key_ids_query(const Parameters& query);

}  // namespace qkms::api::etsi014
