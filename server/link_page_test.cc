#include "server/link_page.h"

#include <gtest/gtest.h>

#include "api/json_reader.h"

namespace qkms::server {
namespace {

drivers::LinkStatus status_of(std::string_view link) {
  drivers::LinkStatus status;
  status.link = LinkId::parse(link).value();
  status.driver = "files";
  return status;
}

// What a device or a file name says must not become anything but text (T20).
TEST(LinkPage, IsJsonWhateverADeviceSays) {
  auto status = status_of("a");
  status.error = "\"},{\"link\":\"\n\x01<img>\xff";
  status.device = {.qber = 0.0123, .rate_bps = 2000, .alarm = {}};
  status.alarms = {{drivers::LinkAlarm::kFailed, status.error}};
  status.incidents = {{0, status.error}};
  const auto page = api::read_json(links_json({status, status_of("b")}, {}));
  ASSERT_TRUE(page) << page.error().text;
  const auto* links = page->get<api::JsonArray>();
  ASSERT_NE(links, nullptr);
  ASSERT_EQ(links->size(), 2u);
  const auto* first = links->front().get<api::JsonObject>();
  EXPECT_EQ(*api::find_member(*first, "qber_ppm")->get<std::int64_t>(), 12'300);
  EXPECT_TRUE(api::find_member(*first, "error")->get<std::string>()->starts_with("\"},{\"link\":\"\n"));
}

TEST(LinkPage, HasWhatTheEngineSaysOfTheSameLink) {
  kms::LinkReport report;
  report.link = LinkId::parse("b").value();
  report.peer = KmeId::parse("KME-B").value();
  report.blocks_accepted = 7;
  const auto page = api::read_json(links_json({status_of("a"), status_of("b")}, {report}));
  const auto& links = *page->get<api::JsonArray>();
  EXPECT_EQ(api::find_member(*links[0].get<api::JsonObject>(), "accepted"), nullptr);
  EXPECT_EQ(*api::find_member(*links[1].get<api::JsonObject>(), "accepted")->get<std::int64_t>(), 7);
}

TEST(LinkPage, IsAListWithoutLinks) { EXPECT_EQ(links_json({}, {}), "[]\n"); }

}  // namespace
}  // namespace qkms::server
