// The request target of the key delivery API, from the raw bytes of the HTTP request line to a method, an SAE ID and
// parameters. What may surprise: the path is split at raw slashes before anything is decoded, so %2F is part of an ID
// (ETSI GS QKD 014 V1.1.1 leaves the form of IDs free); and `+` is a plus sign in the path and in the query, never a
// blank. No value that we accept in a query contains one, so `number=+1` is refused instead of being read as " 1".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/id.h"

namespace qkms::api::etsi014 {

enum class Operation { kStatus, kEncKeys, kDecKeys };

struct Parameter {
  std::string name, value;  // percent-decoded: any bytes
  bool operator==(const Parameter&) const = default;
};
using Parameters = std::vector<Parameter>;  // names differ

struct Target {
  Operation operation = Operation::kStatus;
  SaeId sae;  // the slave for status and enc_keys, the master for dec_keys
  Parameters query;
};

// Takes the origin form (/api/v1/...) and the absolute form (https://host/api/v1/...), whose host is not looked at.
// kNotFound: a well-formed path, but none of ours. kInvalid: anything else that is wrong.
Result<Target> parse_target(std::string_view target);

}  // namespace qkms::api::etsi014
