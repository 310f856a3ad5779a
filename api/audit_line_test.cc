#include "api/audit_line.h"

#include <gtest/gtest.h>

#include "api/json_reader.h"

namespace qkms::api {
namespace {

AuditRecord sample() {
  return {.action = AuditAction::kKeysToMaster,
          .actor = "SAE-A1",
          .subject = "SAE-B1",
          .keys = {KeyId({0x01, 0x89}), KeyId({0xff})},
          .bits = 512};
}

TEST(AuditLine, HasItsMembersInOneOrderAndLeavesOutWhatDoesNotApply) {
  const AuditStamp stamp{7, "2026-11-28T09:59:59.042Z", "KME-A", {}};
  EXPECT_EQ(
      audit_line(stamp, sample()),
      R"({"n":7,"time":"2026-11-28T09:59:59.042Z","node":"KME-A","action":"keys_to_master","actor":"SAE-A1",)"
      R"("subject":"SAE-B1","keys":["01890000-0000-0000-0000-000000000000","ff000000-0000-0000-0000-000000000000"],)"
      R"("bits":512,"previous":")" +
          std::string(64, '0') + "\"}");
}

TEST(AuditLine, TellsItsPlace) {
  AuditStamp stamp{42, "2026-11-28T09:59:59.042Z", "KME-A", {}};
  stamp.previous.fill(0xa5);
  const auto place = place_of_audit_line(audit_line(stamp, sample()));
  ASSERT_TRUE(place) << place.error().text;
  EXPECT_EQ(place->sequence, 42u);
  EXPECT_EQ(place->previous, stamp.previous);
}

TEST(AuditLine, IsOneLineOfJsonWhateverItsTextsHold) {
  AuditRecord record = sample();
  record.actor = "a\n{\"n\":1}\x1b[31m\xff\"\\";
  record.reason.assign(2 * kMaxAuditTextBytes, '\n');
  const std::string line = audit_line({1, "2026-11-28T09:59:59.042Z", "KME-A", {}}, record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_LT(line.size(), 8 * kMaxAuditTextBytes);
  EXPECT_TRUE(read_json(line));
}

TEST(AuditLine, NamesEveryActionDifferently) {
  for (std::size_t a = 0; a < kAuditActions; ++a) {
    EXPECT_NE(name_of(static_cast<AuditAction>(a)), "unknown");
    for (std::size_t b = 0; b < a; ++b)
      EXPECT_NE(name_of(static_cast<AuditAction>(a)), name_of(static_cast<AuditAction>(b)));
  }
}

TEST(AuditLine, RefusesWhatIsNoLineOfALog) {
  const std::string zeroes(64, '0');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), R"({"n":1})" + std::string(),
        R"({"n":0,"previous":")" + zeroes + "\"}", R"({"n":"1","previous":")" + zeroes + "\"}",
        R"({"n":1,"previous":")" + zeroes.substr(1) + "\"}", R"({"n":1,"previous":")" + zeroes.substr(1) + "g\"}"}) {
    EXPECT_FALSE(place_of_audit_line(text)) << text;
  }
}

}  // namespace
}  // namespace qkms::api
