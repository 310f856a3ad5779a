// What `qkmsctl audit verify` says of a daemon's log: each record follows the one before it, the first one that which
// the sealed head says was dropped last, and the last one is the head's.
#include "cli/audit.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "storage/audit_chain.h"

namespace qkms::cli {
namespace {

using testing::HasSubstr;

// Answers as a daemon whose log has records 4 to 9, two a page.
class AuditVerify : public testing::Test {
 protected:
  AuditVerify() {
    storage::AuditMark mark;
    for (std::uint64_t number = 1; number <= 9; ++number) {
      const std::string line =
          api::audit_line({number, "", "KME-A", mark.hash}, {.action = api::AuditAction::kBurn, .actor = "KME-B"});
      mark = {number, storage::sha256(line)};
      if (number == 3) after_ = mark;
      if (number > 3) lines_.push_back(line);
    }
    end_ = mark;
  }
  std::string verdict() {
    Arguments arguments;
    arguments.positional = {"verify"};
    const auto done = audit(arguments, [this](std::string_view path) { return answer(path); });
    return done ? "sound" : done.error().text;
  }

  std::vector<std::string> lines_;
  storage::AuditMark after_, end_;

 private:
  Result<std::string> answer(std::string_view path) {
    const std::uint64_t from = std::stoull(std::string(path.substr(path.find('=') + 1)));
    std::string text;
    int given = 0;
    for (const std::string& line : lines_) {
      const auto place = api::place_of_audit_line(line);
      if (place->sequence >= from && given++ < 2) text += line + "\n";
    }
    return text + fmt::format("{{\"end\":{},\"hash\":\"{}\",\"after\":{},\"after_hash\":\"{}\"}}\n", end_.sequence,
                              to_hex(end_.hash), after_.sequence, to_hex(after_.hash));
  }
};

TEST_F(AuditVerify, FollowsALogFromItsSealedBeginningToItsSealedEnd) { EXPECT_EQ(verdict(), "sound"); }

TEST_F(AuditVerify, FindsThatTheBeginningWasCut) {
  lines_.erase(lines_.begin(), lines_.begin() + 2);
  EXPECT_THAT(verdict(), HasSubstr("begins with record 6, which does not follow record 3"));
}

TEST_F(AuditVerify, FindsThatTheBeginningWasReplaced) {
  after_.hash[0] ^= 1;
  EXPECT_THAT(verdict(), HasSubstr("begins with record 4, which does not follow record 3"));
}

TEST_F(AuditVerify, FindsThatTheEndWasCut) {
  lines_.pop_back();
  EXPECT_THAT(verdict(), HasSubstr("ends at record 8, its sealed head says 9"));
}

TEST_F(AuditVerify, FindsThatAllOfItWasRemoved) {
  lines_.clear();
  EXPECT_THAT(verdict(), HasSubstr("ends at record 3, its sealed head says 9"));
  end_ = after_;
  EXPECT_EQ(verdict(), "sound") << "an empty log may be as it should";
}

}  // namespace
}  // namespace qkms::cli
