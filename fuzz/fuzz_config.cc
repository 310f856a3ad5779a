// Any bytes as a configuration file: no harm, refusals that are fit for a terminal, and only configurations that hold
// together.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "fuzz/require.h"
#include "server/config.h"

namespace {

using qkms::fuzz::require;

void check_refusal(const qkms::Error& error) {
  require(error.code == qkms::ErrorCode::kInvalid, "a refusal is kInvalid");
  require(error.text.starts_with("f:"), "a refusal names the file");
  require(error.text.size() < 64 * 1024, "a refusal is bounded");
  const auto is_printable = [](char c) { return c == '\n' || (c >= 0x20 && c <= 0x7e); };
  require(std::ranges::all_of(error.text, is_printable), "a refusal is printable");
}

void check_config(const qkms::server::Config& config) {
  const auto& policy = config.policy;
  require(!config.id.empty() && policy.self == config.id, "it has an ID");
  require(!policy.peers.contains(config.id), "it is not its own peer");
  const auto& keys = policy.keys;
  require(keys.min_key_bits <= keys.default_key_bits && keys.default_key_bits <= keys.max_key_bits,
          "sizes are in order");
  require(keys.min_key_bits % 8 == 0 && keys.default_key_bits % 8 == 0 && keys.max_key_bits % 8 == 0,
          "sizes are whole bytes");
  for (const auto& [id, link] : policy.links) require(policy.peers.contains(link.peer), "links go to peers");
  for (const auto& [sae, home] : policy.homes)
    require(home == config.id || policy.peers.contains(home), "SAEs have a home");
  for (const auto& [master, slave] : policy.allowed) {
    require(master != slave && policy.homes.contains(master) && policy.homes.contains(slave),
            "only known SAEs are allowed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = qkms::server::parse_config({reinterpret_cast<const char*>(data), size}, "f");
  if (config) {
    check_config(*config);
  } else {
    check_refusal(config.error());
  }
  return 0;
}
