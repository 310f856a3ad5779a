#include "cli/link.h"

#include <gtest/gtest.h>

namespace qkms::cli {
namespace {

constexpr std::string_view kLinks =
    R"([{"link":"link-ab","driver":"files","state":"waiting","error":"the folder /x is gone","restarts":3,"blocks":10,)"
    R"("bytes":640,"rate_bps":123456,"last_block_s":75,"qber_ppm":13200,"quarantined":2,"rejected":0,"peer":"KME-B",)"
    R"("accepted":8,"alarms":[{"alarm":"failed","text":"the folder /x is gone"},{"alarm":"silent","text":"no block for 75 s"}],)"
    R"("incidents":[{"s_ago":80,"text":"its bits came before under another ID"}]},)"
    R"({"link":"link-ac","driver":"simulated","simulated":true,"state":"running","held":"the KME is sealed","restarts":0,"blocks":0,"bytes":0,)"
    R"("rate_bps":0,"quarantined":0,"rejected":0,"alarms":[],"incidents":[]}])";

TEST(LinkCommand, ShowsALinkALine) {
  const auto table = link_table(kLinks);
  ASSERT_TRUE(table);
  EXPECT_EQ(
      *table,
      "LINK                 PEER             DRIVER     STATE            RATE     QBER   LAST BLOCK  ALARMS\n"
      "link-ab              KME-B            files      waiting    123 kbit/s   1.32 %     75 s ago  failed,silent\n"
      "link-ac                               simulated  running       0 bit/s        -        never  held  SIMULATED: "
      "NOT "
      "SECRET\n");
}

TEST(LinkCommand, ShowsOneLinkWhole) {
  const auto details = link_details(kLinks, "link-ab");
  ASSERT_TRUE(details);
  for (const char* line : {"error          the folder /x is gone\n", "QBER           1.32 %\n",
                           "ALARM          silent: no block for 75 s\n",
                           "incident       80 s ago: its bits came before under another ID\n", "accepted       8\n"})
    EXPECT_TRUE(details->contains(line)) << line << *details;
  EXPECT_EQ(link_details(kLinks, "link-xy").error().code, ErrorCode::kNotFound);
}

TEST(LinkCommand, TakesNoOtherAnswerForLinks) {
  for (const char* answer : {"", "{}", "nonsense", "[{"})
    EXPECT_EQ(link_table(answer).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(link_table("[]").value(), "no links are configured\n");
}

TEST(LinkCommand, TestsALinkByItsEncodedName) {
  std::string asked;
  const auto ask = [&](std::string_view method, std::string_view path) -> Result<std::string> {
    asked = std::string(method) + " " + std::string(path);
    return "it is there\n";
  };
  EXPECT_TRUE(link("test", "a b", ask));
  EXPECT_EQ(asked, "POST /test-link?link=a%20b");
}

}  // namespace
}  // namespace qkms::cli
