// Keeps api/etsi014.yaml true where it repeats what the code says.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "api/etsi014/messages.h"
#include "api/etsi014/response.h"
#include "api/etsi014/target.h"
#include "api/json_reader.h"

namespace qkms::api::etsi014 {
namespace {

std::string description() {
  std::ifstream file(QKMS_ETSI014_YAML);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(OpenApi, QuotesTheMessagesOfTheStandard) {
  const std::string yaml = description();
  for (const std::string_view message : {kSizeNotMultipleOf8, kExtensionUnsupported, kExtensionUnmet, kKeyNotFound}) {
    EXPECT_NE(yaml.find("{message: " + std::string(message) + "}"), std::string::npos) << message;
  }
}

TEST(OpenApi, HasEveryMemberOfStatus) {
  const std::string yaml = description();
  const Status status{.source_kme = {}, .target_kme = {}, .master = {}, .slave = {}};
  const Result<JsonValue> body = read_json(status_body(status));
  ASSERT_TRUE(body.has_value());
  const auto* members = body->get<JsonObject>();
  ASSERT_NE(members, nullptr);
  EXPECT_EQ(members->size(), 11U);
  for (const JsonMember& member : *members) {
    EXPECT_NE(yaml.find("\n        " + member.name + ":"), std::string::npos) << member.name;
  }
}

// A path of the description with an ID in it is a target that the parser knows.
TEST(OpenApi, HasThePathsThatAreServed) {
  std::ifstream file(QKMS_ETSI014_YAML);
  std::size_t paths = 0;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("  /{") || !line.ends_with(':')) continue;
    ++paths;
    const std::string tail = line.substr(line.find('}') + 1);
    EXPECT_TRUE(parse_target("/api/v1/keys/SAE-B" + tail.substr(0, tail.size() - 1)).has_value()) << line;
  }
  EXPECT_EQ(paths, 3U);
}

}  // namespace
}  // namespace qkms::api::etsi014
