#include "server/extensions.h"

#include <gtest/gtest.h>

namespace qkms::server {
namespace {

std::vector<api::etsi014::Extension> mandatory(const std::string& objects) {
  auto body = api::etsi014::parse_key_request_body(R"({"extension_mandatory":[)" + objects + "]}");
  EXPECT_TRUE(body.has_value()) << objects;
  return body ? std::move(body->mandatory) : std::vector<api::etsi014::Extension>();
}

TEST(Extensions, AreReadUnderTheirOwnNamesAndFurtherOnes) {
  ExtensionNames names = standard_extensions();
  names.emplace("acme_age", ExtensionMeaning::kMaxAge);
  const auto asked = mandatory(R"({"qkms_route_type":"direct"},{"acme_age":5000})");
  EXPECT_TRUE(unsupported(asked, names).empty());
  const auto conditions = read_mandatory(asked, names);
  ASSERT_TRUE(conditions.has_value());
  EXPECT_EQ(conditions->route_type, kms::RouteType::kDirect);
  EXPECT_EQ(conditions->max_age_ms, 5000);
}

TEST(Extensions, ThatAreUnknownAreNamedOnceAndNotWithoutEnd) {
  EXPECT_EQ(unsupported(mandatory(R"({"a_b":1,"qkms_route_type":"any"},{"c_d":2},{"a_b":3})"), standard_extensions()),
            (std::vector<std::string>{"a_b", "c_d"}));
  std::string many = R"({"x_0":0)";
  for (int i = 1; i < 100; ++i) many += ",\"x_" + std::to_string(i) + "\":0";
  EXPECT_EQ(unsupported(mandatory(many + "}"), standard_extensions()).size(), 8u);
}

TEST(Extensions, WithValuesThatAreNotAcceptedFailWhenMandatoryOnly) {
  for (const char* text : {R"({"qkms_route_type":"Direct"})", R"({"qkms_route_type":1})", R"({"qkms_route_type":null})",
                           R"({"qkms_max_age_ms":0})", R"({"qkms_max_age_ms":-1})", R"({"qkms_max_age_ms":"5"})",
                           R"({"qkms_max_age_ms":1.0})", R"({"qkms_max_age_ms":9000000000000000000})",
                           R"({"qkms_max_age_ms":{}})", R"({"qkms_max_age_ms":1},{"qkms_max_age_ms":2})"}) {
    const auto asked = mandatory(text);
    const auto conditions = read_mandatory(asked, standard_extensions());
    ASSERT_FALSE(conditions.has_value()) << text;
    EXPECT_EQ(conditions.error().code, ErrorCode::kInvalid) << text;
    read_optional(asked, standard_extensions());  // does nothing wrong
  }
  EXPECT_FALSE(read_optional(mandatory(R"({"qkms_max_age_ms":0})"), standard_extensions()).max_age_ms.has_value());
}

TEST(Extensions, ThatAreOptionalAndUnknownLeaveNoTrace) {
  const auto conditions =
      read_optional(mandatory(R"({"a_b":1},{"qkms_route_type":"indirect"})"), standard_extensions());
  EXPECT_EQ(conditions.route_type, kms::RouteType::kIndirect);
  EXPECT_FALSE(conditions.max_age_ms.has_value());
}

}  // namespace
}  // namespace qkms::server
