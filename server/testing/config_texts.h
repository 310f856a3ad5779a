// A configuration for tests of its reader, and what is refused when a part of it is changed.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace qkms::server::testing {

inline constexpr std::string_view kBase = R"([kme]
id = "KME-A"
state_dir = "state"
master_key = "file:master.key"
[sae]
listen = "127.0.0.1:0"
certificate = "sae.crt"
key = "sae.key"
ca = "sae-ca.crt"
[peer]
listen = "127.0.0.1:0"
certificate = "peer.crt"
key = "peer.key"
ca = "peer-ca.crt"
[operator]
listen = "[::1]:8445"
certificate = "/abs/op.crt"
key = "op.key"
ca = "op-ca.crt"
allowed = ["admin"]
)";

inline constexpr std::string_view kNetwork = R"([[peers]]
id = "KME-B"
address = "kme-b.example:8444"
reservoir_capacity_bytes = 4096
[[links]]
id = "link-ab"
peer = "KME-B"
driver = "simulated"
max_pending_bytes = 8192
[links.simulated]
seed = "s"
lose = 1
delay = 0.25
[[saes]]
id = "SAE-A"
kme = "KME-A"
fingerprint = "AB:00000000000000000000000000000000000000000000000000000000000000"
[[saes]]
id = "SAE-B"
kme = "KME-B"
[[allow]]
master = "SAE-A"
slaves = ["SAE-B"]
)";

struct BadCase {
  const char* name;
  std::string base_from, base_to;  // a change to the text above; from "" appends
  std::vector<std::string> expected;
};

inline std::string changed(const BadCase& c) {
  std::string text = std::string(kBase) + std::string(kNetwork);
  if (c.base_from.empty()) return text + c.base_to;
  const auto at = text.find(c.base_from);
  EXPECT_NE(at, std::string::npos) << c.name;
  return text.replace(at, c.base_from.size(), c.base_to);
}

inline void expect_refused(const BadCase& c) {
  const auto config = parse_config(changed(c), "f.toml");
  ASSERT_FALSE(config) << c.name;
  EXPECT_EQ(config.error().code, ErrorCode::kInvalid) << c.name;
  for (const auto& text : c.expected) EXPECT_THAT(config.error().text, ::testing::HasSubstr(text)) << c.name;
}

inline SaeId sae(std::string_view text) { return *SaeId::parse(text); }

}  // namespace qkms::server::testing
