// What is in an answer's body, for checks to judge. Key bits are taken out before anything else looks at it: what is
// left is JSON with a number in place of each of them, fit for strings and for print.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/json_reader.h"
#include "base/secret.h"

namespace qkms::cli::conformance {

// What may be secret in a body: in an answer with keys every string but the key IDs (a server may put bits anywhere),
// elsewhere only members of the name "key".
enum class Carries { kKeys, kNoKeys };

struct Redacted {
  std::string text;                  // secret i stands there as the string "#i"
  std::vector<SecretBytes> secrets;  // the strings' characters, without their JSON escapes
};
// Takes any bytes, JSON or not. In a body with keys that is no JSON nothing can be told apart: then the text is empty.
Redacted redact(std::string_view body, Carries carries);

// RFC 4648 §4: the alphabet, and padding to a multiple of four. Nothing when the characters are anything else.
std::optional<SecretBytes> decode_base64(const SecretBytes& characters);

struct Key {
  std::string id;                             // "" when there is none, or it is no string
  std::optional<SecretBytes> bits;            // nothing when there is none, or it is not base64
  std::vector<std::string> other_extensions;  // names of extensions that are no objects
};
struct KeyContainer {
  std::vector<Key> keys;
  std::vector<std::string> other_extensions;
};
// The key container of §6.3. kInvalid when it has no array "keys" of objects.
Result<KeyContainer> read_container(const api::JsonValue& json, std::vector<SecretBytes>& secrets);

// The body of Get key with key IDs, §6.4.
std::string key_ids_body(const std::vector<std::string>& key_ids);

bool is_uuid(std::string_view text);
// Key IDs are UUIDs, whose letters have no case.
bool equal_ids(std::string_view a, std::string_view b);

}  // namespace qkms::cli::conformance
