#include "server/config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "server/testing/config_texts.h"

namespace qkms::server {
namespace {

using ::testing::HasSubstr;
using namespace testing;

std::string without_comment_marks(const std::string& reference) {
  std::istringstream lines(reference);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const bool is_option = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    out += (is_option ? line.substr(1) : line) + "\n";
  }
  return out;
}

KmeId kme(std::string_view text) { return *KmeId::parse(text); }

TEST(Config, ReadsWhatIsWrittenAndFillsInDefaults) {
  const auto config = parse_config(std::string(kBase) + std::string(kNetwork), "f");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->id, kme("KME-A"));
  EXPECT_EQ(config->operators.address, "::1");
  EXPECT_EQ(config->operators.port, 8445);
  EXPECT_EQ(config->operators_allowed, std::vector<std::string>{"admin"});
  EXPECT_EQ(config->sae.tls_minimum, TlsMinimum::k1_2);
  EXPECT_EQ(config->peer.tls_minimum, TlsMinimum::k1_3);
  EXPECT_EQ(config->limits.max_body_bytes, ServerLimits().max_body_bytes);
  ASSERT_EQ(config->peers.size(), 1u);
  EXPECT_EQ(config->peers[0].address, "kme-b.example:8444");
  ASSERT_EQ(config->links.size(), 1u);
  EXPECT_EQ(config->links[0].driver, "simulated");
  EXPECT_EQ(config->links[0].simulated.seed, "s");
  EXPECT_EQ(config->links[0].simulated.faults.lose, 1.0);
  EXPECT_EQ(config->links[0].simulated.faults.delay, 0.25);
}

TEST(Config, BuildsThePolicyOfTheEngine) {
  const auto config = parse_config(std::string(kBase) + std::string(kNetwork), "f");
  ASSERT_TRUE(config) << config.error().text;
  const auto& policy = config->policy;
  EXPECT_EQ(policy.self, kme("KME-A"));
  EXPECT_EQ(policy.peers.at(kme("KME-B")).reservoir_capacity_bytes, 4096u);
  const auto& link = policy.links.at(*LinkId::parse("link-ab"));
  EXPECT_EQ(link.peer, kme("KME-B"));
  EXPECT_EQ(link.max_pending_bytes, 8192u);
  EXPECT_EQ(policy.homes.at(sae("SAE-B")), kme("KME-B"));
  EXPECT_TRUE(policy.allows(sae("SAE-A"), sae("SAE-B")));
  EXPECT_FALSE(policy.allows(sae("SAE-B"), sae("SAE-A")));
  EXPECT_EQ(config->sae_fingerprints.at("ab" + std::string(62, '0')), sae("SAE-A"));
}

TEST(Config, ReferenceIsTheFileInDeploy) {
  std::ifstream in(QKMS_SOURCE_DIR "/deploy/qkmsd.full.toml");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), reference_config()) << "write it anew: qkmsctl reference-config > deploy/qkmsd.full.toml";
}

TEST(Config, ReferenceIsAValidConfigurationAsItIsAndUncommented) {
  const auto as_it_is = parse_config(reference_config(), "reference");
  EXPECT_TRUE(as_it_is) << as_it_is.error().text;
  const auto uncommented = parse_config(without_comment_marks(reference_config()), "uncommented");
  ASSERT_TRUE(uncommented) << uncommented.error().text;
  EXPECT_EQ(uncommented->sae_fingerprints.size(), 1u);
  EXPECT_EQ(uncommented->policy.keys.max_key_bits, kms::KeyLimits().max_key_bits);
}

TEST(Config, ExamplesOfTwoSitesFitEachOther) {
  const std::string folder = QKMS_SOURCE_DIR "/deploy/two-sites/";
  const auto a = read_config(folder + "kme-a.toml"), b = read_config(folder + "kme-b.toml");
  ASSERT_TRUE(a) << a.error().text;
  ASSERT_TRUE(b) << b.error().text;
  EXPECT_EQ(a->peers.at(0).id, b->id);
  EXPECT_EQ(b->peers.at(0).id, a->id);
  EXPECT_EQ(a->peers.at(0).address, fmt::format("localhost:{}", b->peer.port));
  EXPECT_EQ(a->links.at(0).id, b->links.at(0).id);
  EXPECT_EQ(a->links.at(0).simulated.seed, b->links.at(0).simulated.seed);
  EXPECT_EQ(a->policy.homes, b->policy.homes);
  EXPECT_EQ(a->policy.allowed, b->policy.allowed);
}

TEST(Config, RefusesAValueWithItsLineAndWhatIsAccepted) {
  const BadCase cases[] = {
      {"not a multiple of 8",
       "",
       "[keys]\ndefault_size_bits = 7\n",
       {"f.toml:45: option 'keys.default_size_bits' is 7; accepted: 8 to 65536 bits, a multiple of 8"}},
      {"zero", "", "[keys]\nmax_per_request = 0\n", {"option 'keys.max_per_request' is 0; accepted: 1 to 10000 keys"}},
      {"negative",
       "",
       "[limits]\nidle_ms = -1\n",
       {"option 'limits.idle_ms' is -1; accepted: 10 to 86400000 milliseconds"}},
      {"beyond 64 bits", "", "[limits]\nidle_ms = 99999999999999999999\n", {"f.toml:45: "}},
      {"huge", "", "[keys]\nmax_count = 9223372036854775807\n", {"accepted: 1 to 2147483647 keys"}},
      {"text for a number", "", "[keys]\nmax_count = \"7\"\n", {"option 'keys.max_count' is \"7\"; accepted: 1 to"}},
      {"float for an integer", "", "[keys]\nmax_count = 7.0\n", {"option 'keys.max_count' is 7"}},
      {"truth for a number", "", "[keys]\nmax_count = true\n", {"option 'keys.max_count' is true"}},
      {"date for a number", "", "[keys]\nmax_count = 2020-01-01\n", {"option 'keys.max_count' is a date or time"}},
      {"too many additional slaves", "", "[keys]\nmax_additional_slaves = 16\n", {"accepted: 0 to 15 SAEs"}},
      {"number for a text",
       "id = \"KME-A\"",
       "id = 3",
       {"f.toml:2: option 'kme.id' is 3; accepted: 1 to 320 characters"}},
      {"ID with a blank", "id = \"KME-A\"", "id = \" KME-A\"", {"option 'kme.id' is \" KME-A\""}},
      {"ID in full-width letters",
       "id = \"KME-A\"",
       "id = \"\xef\xbc\xa1\"",
       {"option 'kme.id' is \"\\xef\\xbc\\xa1\""}},
      {"the former name of the master key",
       "master_key = \"file:master.key\"",
       "master_key_file = \"old/master.key\"",
       {"f.toml:4: option 'kme.master_key_file' is no more; write: master_key = \"file:old/master.key\""}},
      {"a path as master key",
       "\"file:master.key\"",
       "\"/etc/qkms/master.key\"",
       {"f.toml:4: option 'kme.master_key' is \"/etc/qkms/master.key\"; accepted: file:PATH, credential:NAME"}},
      {"no path of a master key", "\"file:master.key\"", "\"file:\"", {"option 'kme.master_key' is \"file:\""}},
      {"empty path", "\"state\"", "\"\"", {"f.toml:3: option 'kme.state_dir' is \"\"; accepted: a path"}},
      {"NUL in a path", "\"state\"", "\"st\\u0000ate\"", {"option 'kme.state_dir' is \"st\\x00ate\""}},
      {"port 70000", "\"127.0.0.1:0\"", "\"127.0.0.1:70000\"", {"f.toml:6: option 'sae.listen'", "[::1]:8443"}},
      {"no port", "\"127.0.0.1:0\"", "\"127.0.0.1\"", {"option 'sae.listen'"}},
      {"signed port", "\"127.0.0.1:0\"", "\"127.0.0.1:+1\"", {"option 'sae.listen'"}},
      {"host name to listen at",
       "\"127.0.0.1:0\"",
       "\"localhost:1\"",
       {"option 'sae.listen' is \"localhost:1\"; accepted: an IP"}},
      {"bare IPv6", "\"[::1]:8445\"", "\"::1:8445\"", {"option 'operator.listen'"}},
      {"port 0 to connect to", ":8444\"", ":0\"", {"option 'peers.address'", "1 to 65535"}},
      {"URL to connect to", "\"kme-b.example", "\"https://kme-b.example", {"option 'peers.address'"}},
      {"unknown choice",
       "",
       "[log]\nlevel = \"loud\"\n",
       {"option 'log.level' is \"loud\"; accepted: \"trace\", \"debug\", \"info\", \"warn\", \"error\""}},
      {"text for a list",
       "[\"SAE-B\"]",
       "\"SAE-B\"",
       {"option 'allow.slaves' is \"SAE-B\"; accepted: a list of names"}},
      {"numbers in a list", "[\"SAE-B\"]", "[3]", {"option 'allow.slaves' is a list; accepted: a list of names"}},
      {"short fingerprint", "\"AB:00", "\"AB:0", {"option 'saes.fingerprint'", "64 hexadecimal digits"}},
  };
  for (const auto& c : cases) expect_refused(c);
}

TEST(Config, RefusesWhatItDoesNotKnowAndSuggestsWhatItDoes) {
  const BadCase cases[] = {
      {"misspelt option",
       "",
       "[keys]\ndefalt_size_bits = 256\n",
       {"f.toml:45: unknown option 'keys.defalt_size_bits'. Did you mean 'keys.default_size_bits'? Accepted: "
        "default_size_bits, min"}},
      {"misspelt section", "", "[kesy]\n", {"f.toml:44: unknown section 'kesy'. Did you mean 'keys'?"}},
      {"nothing like it", "", "zzzzzzzzzzzz = 1\n", {"unknown option 'allow.zzzzzzzzzzzz'. Accepted: master, slaves"}},
      {"in a list of sections",
       "peer = \"KME-B\"\n",
       "peer = \"KME-B\"\npear = 1\n",
       {"unknown option 'links.pear'. Did you mean 'links.peer'?"}},
      {"escaped in the message", "", "\"a\\nb\" = 1\n", {"unknown option 'allow.a\\x0ab'"}},
      {"TLS version for peers", "[peer]\n", "[peer]\ntls_minimum = \"1.2\"\n", {"unknown option 'peer.tls_minimum'"}},
      {"value for a section", "[kme]", "keys = 3\n[kme]", {"f.toml:1: 'keys' is 3; accepted: a section [keys]"}},
      {"one where there may be many", "[[peers]]", "[peers]", {"'peers' is a table; accepted: sections [[peers]]"}},
      {"many where there is one", "[sae]", "[[sae]]", {"'sae' is a list; accepted: a section [sae]"}},
      {"numbers for sections", "[kme]", "peers = [1]\n[kme]", {"f.toml:"}},
  };
  for (const auto& c : cases) expect_refused(c);
}

TEST(Config, RefusesWhatIsNoToml) {
  const BadCase cases[] = {
      {"duplicate key", "id = \"KME-A\"", "id = \"KME-A\"\nid = \"KME-A\"", {"f.toml:3: not TOML"}},
      {"duplicate section", "", "[kme]\n", {"f.toml:44: not TOML"}},
      {"not UTF-8", "\"state\"", "\"st\xff\"", {"f.toml:3: not TOML in UTF-8"}},
      {"overlong UTF-8", "\"state\"", "\"st\xc0\xaf\"", {"f.toml:3: not TOML in UTF-8"}},
      {"unfinished", "", "[keys", {"f.toml:44: not TOML"}},
      {"newline in a section's name", "", "[\nkeys]\n", {"f.toml:44: not TOML"}},
      {"deep", "", "x = " + std::string(100'000, '['), {"f.toml:44: not TOML"}},
  };
  for (const auto& c : cases) expect_refused(c);
}

TEST(Config, RefusesWhatDoesNotFitTogether) {
  const BadCase cases[] = {
      {"minimum above maximum",
       "",
       "[keys]\nmin_size_bits = 8192\n",
       {"f.toml:45: option 'keys.min_size_bits' is 8192; accepted: at most"}},
      {"default above maximum", "", "[keys]\ndefault_size_bits = 8192\n", {"is 8192; accepted: 64 to 4096 bits"}},
      {"default below minimum", "", "[keys]\ndefault_size_bits = 56\n", {"is 56; accepted: 64 to 4096 bits"}},
      {"requests beyond a frame",
       "",
       "[keys]\nmax_per_request = 10000\n",
       {"option 'keys.max_per_request' is 10000", "131072"}},
      {"silence before the heartbeat",
       "",
       "[timing]\nheartbeat_ms = 3000\n",
       {"option 'timing.silence_ms' is 5000; accepted: at least 6000"}},
      {"self as a peer", "id = \"KME-B\"", "id = \"KME-A\"", {"option 'peers.id' is \"KME-A\", which is this KME"}},
      {"peer twice",
       "",
       "[[peers]]\nid = \"KME-B\"\naddress = \"b:1\"\n",
       {"f.toml:45: option 'peers.id' is \"KME-B\" for the second time"}},
      {"no address to connect to",
       "address = \"kme-b.example:8444\"\n",
       "",
       {"f.toml:21: option 'peers.address' is missing"}},
      {"link to nobody",
       "peer = \"KME-B\"",
       "peer = \"KME-C\"",
       {"f.toml:27: option 'links.peer' is \"KME-C\"; accepted: KME-B"}},
      {"link twice",
       "",
       "[[links]]\nid = \"link-ab\"\npeer = \"KME-B\"\ndriver=\"simulated\"\nsimulated.seed=\"t\"\n",
       {"f.toml:45: option 'links.id' is \"link-ab\" for the second time"}},
      {"link without settings",
       "[links.simulated]\nseed = \"s\"\nlose = 1\ndelay = 0.25\n",
       "",
       {"f.toml:25: option 'links.simulated.seed' is missing"}},
      {"satellite without stations",
       "seed = \"s\"",
       "seed = \"s\"\nmodel = \"satellite\"",
       {"f.toml:28: option 'links.simulated.satellite.first_latitude_deg' is missing; a satellite link has two"}},
      {"satellite that never passes",
       "seed = \"s\"",
       "seed = \"s\"\nmodel = \"satellite\"\nsatellite = {system = \"custom\", inclination_deg = 20, "
       "first_latitude_deg = 60, "
       "first_longitude_deg = 0, second_latitude_deg = 1, second_longitude_deg = 2}",
       {"f.toml:28: option 'links.simulated.satellite.first_latitude_deg' is 60; the satellite never"}},
      {"SAE of nobody",
       "kme = \"KME-B\"",
       "kme = \"KME-C\"",
       {"option 'saes.kme' is \"KME-C\"; accepted: KME-A (this KME), KME-B"}},
      {"SAE twice",
       "id = \"SAE-B\"",
       "id = \"SAE-A\"",
       {"f.toml:39: option 'saes.id' is \"SAE-A\" for the second time"}},
      {"fingerprint of a remote SAE",
       "kme = \"KME-A\"",
       "kme = \"KME-B\"",
       {"option 'saes.fingerprint' is given for an SAE of KME-B"}},
      {"unknown master",
       "master = \"SAE-A\"",
       "master = \"sae-a\"",
       {"option 'allow.master' names \"sae-a\"; accepted: an id of [[saes]]"}},
      {"unknown slave", "[\"SAE-B\"]", "[\"SAE-B\", \"SAE-C\"]", {"option 'allow.slaves' names \"SAE-C\""}},
      {"master as its slave",
       "[\"SAE-B\"]",
       "[\"SAE-A\"]",
       {"option 'allow.slaves' has \"SAE-A\", which is the master itself"}},
      {"no slaves", "[\"SAE-B\"]", "[]", {"option 'allow.slaves' is empty"}},
      {"same port",
       "listen = \"127.0.0.1:0\"",
       "listen = \"[::1]:8445\"",
       {"option 'operator.listen' takes the address and port of 'sae.listen'"}},
      {"same port at any address",
       "listen = \"127.0.0.1:0\"",
       "listen = \"0.0.0.0:8445\"",
       {"option 'operator.listen' takes"}},
  };
  for (const auto& c : cases) expect_refused(c);
}

TEST(Config, RefusesOneFingerprintForTwoSaes) {
  expect_refused({"fingerprint",
                  "id = \"SAE-B\"\nkme = \"KME-B\"",
                  "id = \"SAE-B\"\nkme = \"KME-A\"\nfingerprint = \"ab" + std::string(62, '0') + "\"",
                  {"f.toml:41: option 'saes.fingerprint' is another SAE's already"}});
}

TEST(Config, ReportsAllProblemsInTheOrderOfTheFile) {
  const auto config = parse_config("[keys]\nmax_count = 0\nwhat = 1\n[log]\nlevel = 3\n", "f");
  ASSERT_FALSE(config);
  std::istringstream lines(config.error().text);
  int last = 0, count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const int number = std::stoi(line.substr(2));
    EXPECT_GE(number, last) << line;
    last = number;
  }
  EXPECT_EQ(count, 3 + 3 + 3 * 4);  // three bad values, three things [kme] lacks, four each listener lacks
}

TEST(Config, BoundsTheNumberOfProblemsItTells) {
  std::string text(kBase);
  for (int i = 0; i < 1000; ++i) text += "[[allow]]\n";
  const auto config = parse_config(text, "f");
  ASSERT_FALSE(config);
  EXPECT_LT(config.error().text.size(), 20'000u);
  EXPECT_THAT(config.error().text, HasSubstr("f: and 1950 more"));
}

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "qkms-config-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, std::string_view text) {
    const auto file = folder_ / name;
    std::ofstream(file) << text;
    return file;
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigFile, MakesRelativePathsRelativeToItsFolder) {
  const auto config = read_config(write("a.toml", kBase));
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->state_dir, folder_ / "state");
  EXPECT_EQ(config->sae.key, folder_ / "sae.key");
  EXPECT_EQ(storage::text_of(config->master_key), "file:" + (folder_ / "master.key").string());
  EXPECT_EQ(config->operators.certificate, "/abs/op.crt");
}

TEST_F(ConfigFile, RefusesWhatIsNoReadableFile) {
  const auto missing = read_config(folder_ / "none.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().text, HasSubstr("none.toml: no such file"));

  const auto folder = read_config(folder_);
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().text, HasSubstr("not a regular file"));

  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  const auto fifo = read_config(folder_ / "fifo");
  ASSERT_FALSE(fifo);
  EXPECT_THAT(fifo.error().text, HasSubstr("not a regular file"));

  const auto large = read_config(write("large", std::string(kMaxConfigBytes + 1, '#')));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().text, HasSubstr("too large"));

  const auto empty = read_config(write("empty.toml", ""));
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().text, HasSubstr("empty.toml:1: option 'kme.id' is missing"));
}

}  // namespace
}  // namespace qkms::server
