// The audit log in the store: what a commit adds, what an opening finds, and that whoever writes to the file is found
// out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/sqlite_store.h"
#include "storage/store_bench.h"
#include "storage/verify_store.h"

namespace qkms::storage {
namespace {

using api::AuditAction;
using api::AuditRecord;
using kms::Changes;
using kms::CommitOutcome;
using testing::HasSubstr;

class SqliteAudit : public testing::Test {
 protected:
  void SetUp() override {
    store_ = open().value();
    ASSERT_TRUE(store_->load_all());
    Changes changes;
    changes.node = sample_node();
    ASSERT_EQ(store_->commit(std::move(changes)), CommitOutcome::kDurable);
  }
  Result<std::unique_ptr<SqliteStore>> open() { return SqliteStore::open(file_, bits(32, 1), settings_); }
  void reopen() {
    store_.reset();
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().text;
    store_ = std::move(*opened);
    ASSERT_TRUE(store_->load_all());
  }
  // One commit with these records.
  void write(const std::vector<std::string>& reasons) {
    Changes changes;
    for (const std::string& reason : reasons)
      changes.audit.push_back({.action = AuditAction::kBurn, .actor = "KME-A", .reason = reason});
    ASSERT_EQ(store_->commit(std::move(changes)), CommitOutcome::kDurable);
  }
  void write_three_pages() {
    write({"one"});
    write({"two", "three"});
    write({"four"});
  }
  // Of the store when it is closed; opens it again.
  Result<std::uint64_t> verify_audit() {
    store_.reset();
    const Result<VerifyReport> report = verify_store(file_, {}, bits(32, 1));
    reopen();
    return report ? report->audit_records : std::unexpected(report.error());
  }
  void keep_only(std::uint64_t bytes) {
    settings_.audit_bytes = bytes;
    reopen();
  }
  std::vector<std::string> lines(std::uint64_t first = 1) { return store_->read_audit(first, 1 << 20).value().lines; }
  // SQL behind the daemon's back.
  void tamper(const std::string& sql) {
    store_.reset();
    const std::unique_ptr<Database> database = Database::open(file_).value();
    const Result<void> done = database->execute(sql.c_str());
    ASSERT_TRUE(done) << done.error().text;
  }
  void expect_found(const std::string& sql, std::string_view words) {
    SCOPED_TRACE(sql);
    tamper(sql);
    auto opened = open();
    if (opened) {
      store_ = std::move(*opened);
      ASSERT_TRUE(store_->load_all());
      const auto verified = verify_audit();
      ASSERT_FALSE(verified);
      EXPECT_EQ(verified.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(verified.error().text, HasSubstr(words));
    } else {
      EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(opened.error().text, HasSubstr(words));
    }
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store";
  StoreSettings settings_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(SqliteAudit, KeepsRecordsInOrderOverRestarts) {
  write_three_pages();
  reopen();
  write({"five"});
  const auto all = lines();
  ASSERT_EQ(all.size(), 5u);
  AuditChain chain(AuditMark{});
  for (const std::string& line : all) EXPECT_TRUE(chain.follow(line)) << line;
  EXPECT_THAT(all[2], HasSubstr(R"("n":3,)"));
  EXPECT_THAT(all[2], HasSubstr(R"("reason":"three")"));
  EXPECT_THAT(all[4], HasSubstr(R"("node":"KME-A")"));
  EXPECT_THAT(all[4], testing::ContainsRegex(
                          R"("time":"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9][.][0-9]{3}Z")"));
  EXPECT_EQ(verify_audit().value(), 5u);
  EXPECT_EQ(chain.last(), store_->read_audit(1, 1).value().last);
}

TEST_F(SqliteAudit, ReadsFromAnyRecordOn) {
  write_three_pages();
  EXPECT_EQ(lines(1).size(), 4u);
  EXPECT_EQ(lines(3).size(), 2u);
  EXPECT_EQ(lines(5).size(), 0u);
  EXPECT_EQ(store_->read_audit(1, 1).value().lines.size(), 1u);  // a page is at least one commit
}

TEST_F(SqliteAudit, HasTheRecordsOfACommitOrNoneOfIt) {
  write({"one"});
  Changes changes;
  changes.audit.push_back({.action = AuditAction::kBurn, .reason = "lost"});
  changes.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 1}});
  changes.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 1}});  // there already: the commit fails
  ASSERT_EQ(store_->commit(std::move(changes)), CommitOutcome::kFailed);
  write({"two"});
  reopen();
  EXPECT_EQ(lines().size(), 2u);
  EXPECT_EQ(verify_audit().value(), 2u);
}

TEST_F(SqliteAudit, FindsARecordThatWasRemoved) {
  write_three_pages();
  expect_found("DELETE FROM audit WHERE first = 2", "removed, repeated or moved");
}

TEST_F(SqliteAudit, FindsARecordThatWasChanged) {
  write_three_pages();
  expect_found("UPDATE audit SET lines = replace(lines, 'three', 'tree!') WHERE first = 2", "it was changed");
}

TEST_F(SqliteAudit, FindsRecordsThatChangedPlaces) {
  write_three_pages();
  expect_found(
      "UPDATE audit SET first = 99 WHERE first = 1; UPDATE audit SET first = 1 WHERE first = 2;"
      "UPDATE audit SET first = 3 WHERE first = 99",
      "the audit log");
}

TEST_F(SqliteAudit, FindsALogThatWasCutOff) {
  write_three_pages();
  expect_found("DELETE FROM audit WHERE first = 4", "cut");
}

TEST_F(SqliteAudit, FindsALogThatWasEmptied) {
  write_three_pages();
  expect_found("DELETE FROM audit", "cut");
}

TEST_F(SqliteAudit, FindsAHeadThatWasRemovedOrPutBack) {
  write({"one"});
  store_.reset();
  const std::filesystem::path copy = folder_.path() / "copy";
  std::filesystem::copy_file(file_, copy);
  reopen();
  write({"two"});
  expect_found("ATTACH '" + copy.string() + "' AS old; INSERT OR REPLACE INTO head SELECT * FROM old.head",
               "does not end where its sealed head says");
  expect_found("DELETE FROM head", "its head");
}

TEST_F(SqliteAudit, StaysWithinItsSizeAndCanBeFollowedFromWhereItNowBegins) {
  settings_.audit_bytes = 4096;
  reopen();
  for (int i = 0; i < 100; ++i) write({"a record of some length", "and another one"});
  const AuditPage page = store_->read_audit(1, 1 << 20).value();
  EXPECT_LT(page.lines.size(), 25u);
  EXPECT_GT(page.lines.size(), 10u);
  EXPECT_EQ(page.last.sequence, 200u);
  AuditChain chain(page.before_first);
  for (const std::string& line : page.lines) EXPECT_TRUE(chain.follow(line)) << line;
  EXPECT_EQ(chain.last(), page.last);
  EXPECT_EQ(verify_audit().value(), page.lines.size());
  reopen();
  EXPECT_EQ(verify_audit().value(), page.lines.size());
  expect_found("DELETE FROM audit WHERE first = (SELECT min(first) FROM audit)", "removed, repeated or moved");
}

// The mark of what was dropped before must fit the oldest row: at a start, and whenever more is dropped.
TEST_F(SqliteAudit, IsNotOpenedWhenItsBeginningWasCut) {
  keep_only(4096);
  for (int i = 0; i < 100; ++i) write({"a record of some length", "and another one"});
  tamper("DELETE FROM audit WHERE first <= (SELECT max(first) - 6 FROM audit)");
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().text, HasSubstr("removed, repeated or moved"));
}

TEST_F(SqliteAudit, DropsNoRowThatDoesNotFollow) {
  for (int i = 0; i < 20; ++i) write({"a record of some length", "and another one"});
  tamper("DELETE FROM audit WHERE first = 3");
  store_ = open().value();  // which looks at the two ends only
  ASSERT_TRUE(store_->load_all());
  keep_only(4096);
  Changes changes;
  changes.audit.push_back({.action = AuditAction::kBurn, .actor = "KME-A", .reason = "one more"});
  EXPECT_EQ(store_->commit(std::move(changes)), CommitOutcome::kFailed);
  EXPECT_THAT(store_->trouble(), HasSubstr("after record 2: the next one there is 5"));
  EXPECT_FALSE(verify_audit());
}

TEST(AuditChain, BeginsAnywhereWithoutAnAnchorAndSaysWhereItBreaks) {
  AuditChain chain;
  const std::string first = api::audit_line({10, "", "KME-A", {}}, {.action = AuditAction::kStart});
  ASSERT_TRUE(chain.follow(first));
  const std::string second = api::audit_line({11, "", "KME-A", sha256(first)}, {.action = AuditAction::kStop});
  const auto skipped = chain.follow(api::audit_line({12, "", "KME-A", sha256(second)}, {}));
  ASSERT_FALSE(skipped);
  EXPECT_THAT(skipped.error().text, HasSubstr("after record 10: the next one there is 12"));
  EXPECT_TRUE(chain.follow(second));
  const auto damaged = chain.follow("{");
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().text, HasSubstr("after record 11: the next line is damaged"));
}

}  // namespace
}  // namespace qkms::storage
