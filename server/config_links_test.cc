// The options of links and of their drivers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "server/testing/config_texts.h"

namespace qkms::server {
namespace {

using ::testing::HasSubstr;
using namespace testing;

// A link over a device that offers ETSI GS QKD 014, with `more` lines in its table, at the KME of that ID.
Result<Config> etsi014_link(std::string_view kme_id, std::string_view more) {
  std::string text = std::string(kBase) + R"([[peers]]
id = "KME-M"
address = "kme-m.example:8444"
[[links]]
id = "link-am"
peer = "KME-M"
driver = "etsi014"
[links.etsi014]
url = "https://qkd-1.example:8443/unit/1/"
twin_sae = "urn:kme:m"
certificate = "d.crt"
key = "/abs/d.key"
ca = "d-ca.crt"
)" + std::string(more);
  text.replace(text.find("KME-A"), 5, kme_id);
  return parse_config(text, "f");
}

TEST(Config, ReadsALinkOverEtsi014) {
  const auto config = etsi014_link("KME-A", "mode = \"paired\"\ntls_minimum = \"1.2\"\nkey_size_bits = 512\n");
  ASSERT_TRUE(config) << config.error().text;
  const drivers::Etsi014Settings& settings = config->links.at(0).etsi014;
  EXPECT_EQ(settings.tls.host, "qkd-1.example");
  EXPECT_EQ(settings.tls.port, 8443);
  EXPECT_EQ(settings.path_prefix, "/unit/1");
  EXPECT_EQ(settings.twin, sae("urn:kme:m"));
  EXPECT_EQ(settings.mode, drivers::Etsi014Mode::kPaired);
  EXPECT_EQ(settings.tls.minimum, TlsMinimum::k1_2);
  EXPECT_EQ(settings.key_size_bits, 512u);
  EXPECT_EQ(settings.tls.key, "/abs/d.key");
}

TEST(Config, TheLowerKmeIdLeadsOverEtsi014UnlessTheFileSaysOtherwise) {
  using drivers::Etsi014End;
  const std::tuple<const char*, const char*, Etsi014End> cases[] = {
      {"KME-A", "", Etsi014End::kLeads},
      {"KME-Z", "", Etsi014End::kFollows},
      {"KME-A", "leads = \"other-end\"\n", Etsi014End::kFollows},
      {"KME-Z", "leads = \"this-end\"\n", Etsi014End::kLeads},
  };
  for (const auto& [id, more, end] : cases) {
    const auto config = etsi014_link(id, more);
    ASSERT_TRUE(config) << config.error().text;
    EXPECT_EQ(config->links.at(0).etsi014.end, end) << id << " " << more;
  }
  const auto odd = etsi014_link("KME-A", "leads = true\nkey_size_bits = 100\n");
  ASSERT_FALSE(odd);
  EXPECT_THAT(odd.error().text, HasSubstr("option 'links.etsi014.leads' is true; accepted: \"lower-id\""));
  EXPECT_THAT(odd.error().text, HasSubstr("option 'links.etsi014.key_size_bits' is 100; accepted: 0 to 8388608 bits"));
}

// Relative paths start at the file's folder; the lower KME ID opens the key stream.
TEST(Config, ReadsALinkToADeviceThatSpeaksEtsi004) {
  std::string text = std::string(kBase) + std::string(kNetwork);
  const std::string simulated =
      "driver = \"simulated\"\nmax_pending_bytes = 8192\n[links.simulated]\nseed = \"s\"\nlose = 1\n";
  const std::size_t at = text.find(simulated);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, simulated.size() + std::string("delay = 0.25\n").size(),
               "driver = \"etsi004\"\n[links.etsi004]\nhost = \"device\"\ncertificate = \"c.crt\"\nkey = \"c.key\"\n"
               "ca = \"ca.crt\"\nsource = \"qkd://a\"\ndestination = \"qkd://b\"\n");
  const std::string file = ::testing::TempDir() + "/etsi004.toml";
  std::ofstream(file) << text;
  const auto config = read_config(file);
  ASSERT_TRUE(config) << config.error().text;
  const drivers::Etsi004Settings& settings = config->links.at(0).etsi004;
  EXPECT_EQ(settings.tls.host, "device");
  EXPECT_EQ(settings.tls.ca.parent_path(), std::filesystem::path(file).lexically_normal().parent_path());
  EXPECT_EQ(settings.end, drivers::StreamEnd::kOpens);
  EXPECT_EQ(settings.stream, std::nullopt);
}

TEST(Config, ReadsThePhysicsOfASimulatedLink) {
  const BadCase with{
      "physics",
      "delay = 0.25\n",
      "delay = 0.25\nmodel = \"fibre\"\nspeed = 10\n[links.simulated.fibre]\nsystem = \"gys\"\nlength_km = 12.5\n"
      "[links.simulated.satellite]\nfirst_latitude_deg = -45.5\n",
      {}};
  const auto config = parse_config(changed(with), "f");
  ASSERT_TRUE(config) << config.error().text;
  const drivers::ModelSettings& physics = config->links.at(0).simulated.physics;
  EXPECT_EQ(physics.model, "fibre");
  EXPECT_EQ(physics.speed, 10);
  EXPECT_EQ(physics.fibre.system, "gys");
  EXPECT_EQ(physics.fibre.length_km, 12.5);
  EXPECT_EQ(physics.fibre.block_bits, drivers::FibreSettings().block_bits);
  EXPECT_EQ(physics.satellite.first.latitude_deg, -45.5);
  EXPECT_FALSE(physics.satellite.first.longitude_deg.has_value());
}

TEST(Config, RefusesAValueOfALinkWithItsLineAndWhatIsAccepted) {
  const BadCase cases[] = {
      {"probability above 1", "lose = 1", "lose = 1.5", {"option 'links.simulated.lose' is 1.5; accepted: 0 to 1"}},
      {"probability that is no number",
       "lose = 1",
       "lose = nan",
       {"option 'links.simulated.lose' is nan; accepted: 0 to 1"}},
      {"unknown model",
       "seed = \"s\"",
       "seed = \"s\"\nmodel = \"magic\"",
       {"option 'links.simulated.model' is \"magic\"; accepted: \"constant\", \"fibre\", \"satellite\""}},
      {"fibre too long",
       "delay = 0.25",
       "delay = 0.25\nfibre.length_km = 1001",
       {"option 'links.simulated.fibre.length_km' is 1001; accepted: 0 to 1000 km"}},
      {"length that is no number",
       "delay = 0.25",
       "delay = 0.25\nfibre.length_km = nan",
       {"option 'links.simulated.fibre.length_km' is nan; accepted: 0 to 1000 km"}},
      {"text for a length",
       "delay = 0.25",
       "delay = 0.25\nfibre.length_km = \"50\"",
       {"option 'links.simulated.fibre.length_km' is \"50\"; accepted: 0 to 1000 km"}},
      {"unknown driver",
       "\"simulated\"",
       "\"magic\"",
       {"option 'links.driver' is \"magic\"; accepted: \"simulated\", \"files\", \"etsi014\", \"etsi004\""}},
      {"settings of another driver",
       "driver = \"simulated\"",
       "driver = \"files\"",
       {"section [links.simulated] does not belong to what was chosen before",
        "option 'links.files.folder' is missing"}},
  };
  for (const auto& c : cases) expect_refused(c);
}

}  // namespace
}  // namespace qkms::server
