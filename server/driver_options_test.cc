#include "server/driver_options.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qkms::server {
namespace {

using drivers::Etsi004Settings;

class Etsi004Options : public testing::Test {
 protected:
  Option& option(std::string_view name) {
    const auto found = std::ranges::find(options_, name, &Option::name);
    EXPECT_NE(found, options_.end()) << name;
    return *found;
  }
  bool set(std::string_view name, Value value) { return option(name).set(value); }

  Etsi004Settings settings_;
  std::vector<Option> options_ = etsi004_options(settings_);
};

TEST_F(Etsi004Options, SayWhatMustBeGiven) {
  std::vector<std::string> required;
  for (const Option& each : options_) {
    if (each.need == Need::kRequired) required.push_back(each.name);
  }
  EXPECT_EQ(required, (std::vector<std::string>{"host", "certificate", "key", "ca", "source", "destination"}));
}

TEST_F(Etsi004Options, HaveNamesThatDiffer) {
  std::vector<std::string> names;
  for (const Option& each : options_) names.push_back(each.name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST_F(Etsi004Options, ReachTheSettings) {
  ASSERT_TRUE(set("host", "device"));
  ASSERT_TRUE(set("port", std::int64_t{4004}));
  ASSERT_TRUE(set("server_name", "device.test"));
  ASSERT_TRUE(set("certificate", "a.crt"));
  ASSERT_TRUE(set("key", "a.key"));
  ASSERT_TRUE(set("ca", "ca.crt"));
  ASSERT_TRUE(set("tls_minimum", "1.2"));
  ASSERT_TRUE(set("dialect", "fixed-mime"));
  ASSERT_TRUE(set("version", "2.0.255"));
  ASSERT_TRUE(set("source", "qkd://a"));
  ASSERT_TRUE(set("destination", "qkd://b"));
  ASSERT_TRUE(set("key_stream_id", "00000000-0000-0000-0000-000000000102"));
  ASSERT_TRUE(set("chunk_bytes", std::int64_t{1 << 20}));
  ASSERT_TRUE(set("least_bps", std::int64_t{0xffff'ffff}));
  ASSERT_TRUE(set("direct", true));
  EXPECT_EQ(settings_.tls.host, "device");
  EXPECT_EQ(settings_.tls.port, 4004);
  EXPECT_EQ(settings_.tls.server_name, "device.test");
  EXPECT_EQ(settings_.tls.ca, "ca.crt");
  EXPECT_EQ(settings_.tls.minimum, certs::TlsMinimum::k1_2);
  EXPECT_EQ(settings_.dialect, drivers::etsi004::Dialect::kFixedMime);
  EXPECT_EQ(settings_.version, (drivers::etsi004::Version{2, 0, 255}));
  EXPECT_EQ(settings_.destination, "qkd://b");
  drivers::etsi004::StreamId stream{};
  stream[14] = 1;
  stream[15] = 2;
  EXPECT_EQ(settings_.stream, stream);
  EXPECT_EQ(settings_.qos.chunk_bytes, 1u << 20);
  EXPECT_EQ(settings_.least_bps, 0xffff'ffffu);
  EXPECT_TRUE(settings_.direct);
}

TEST_F(Etsi004Options, RefuseWhatIsNotAccepted) {
  const Etsi004Settings before = settings_;
  const std::pair<const char*, Value> cases[] = {
      {"host", std::string()},
      {"port", std::int64_t{0}},
      {"port", std::int64_t{65536}},
      {"dialect", "etsi"},
      {"version", "1.0"},
      {"version", "1.0.1.2"},
      {"version", "1.0.256"},
      {"version", "1..1"},
      {"version", "1.0.-1"},
      {"version", std::string()},
      {"source", "with a blank"},
      {"source", std::string("a\0b", 3)},
      {"source", std::string()},
      {"source", std::string(1025, 'x')},
      {"key_stream_id", "00000000-0000-0000-0000-000000000000"},
      {"key_stream_id", "1"},
      {"key_stream_id", std::int64_t{1}},
      {"chunk_bytes", std::int64_t{0}},
      {"chunk_bytes", std::int64_t{(1 << 20) + 1}},
      {"max_bps", std::int64_t{0x1'0000'0000}},
      {"timeout_ms", std::int64_t{60'001}},
      {"poll_ms", std::int64_t{0}},
      {"direct", "yes"},
  };
  for (const auto& [name, value] : cases) EXPECT_FALSE(set(name, value)) << name;
  EXPECT_EQ(settings_, before);
}

}  // namespace
}  // namespace qkms::server
