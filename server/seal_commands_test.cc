// What operators may say to a KME in any order: seal, unseal, back up, rotate; over a real store and a real key file.
#include "server/seal_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "server/os_random.h"
#include "storage/key_file.h"
#include "storage/scratch_folder.h"

namespace qkms::server {
namespace {

using ::testing::HasSubstr;
using State = kms::Node::State;

class SilentOutlet final : public EngineOutlet {
 public:
  void send(kms::SendEffect) override {}
  void close(kms::CloseEffect) override {}
  void close_all_sessions() override {}
  void notice(const kms::Notice&) override {}
  void note(kms::DriverNote) override {}
  void link_full(const kms::LinkFull&) override {}
  void state_changed(State) override {}
};

class SealCommandsTest : public ::testing::Test {
 protected:
  using Said = std::future<Result<std::string>>;

  SealCommandsTest() {
    storage::create_key_file(key_file_).value();
    policy_->self = KmeId::parse("KME-A").value();
    store_ = storage::SealableStore::lock(folder_.path() / "store.db", {}).value();
    store_->unseal(storage::read_key_file(key_file_).value()).value();
    auto node = kms::Node::open(policy_, *store_, random_, 0).value();
    fill();
    engine_ = std::make_unique<EngineThread>(std::move(node), outlet_, 16);
    const auto source = [this] {
      return storage::MasterKeySource{storage::MasterKeySource::Scheme::kFile, key_file_.string()};
    };
    commands_ = std::make_unique<StoreCommands>(*engine_, *store_, folder_.path(), source);
    seals_ = std::make_unique<SealCommands>(
        *engine_, *store_, source,
        SealCommands::Hooks{.closing = [this] { commands_->give_up("sealed"); }, .opened = [this] { ++opened_; }});
  }
  ~SealCommandsTest() override {
    seals_->stop();
    commands_->stop();
    engine_->stop();
  }

  // More than a backup copies in a few steps.
  void fill() {
    kms::Changes changes;
    for (std::uint64_t record = 1; record <= 500; ++record) {
      kms::Assignment row;
      row.issuer = KmeId::parse("KME-B").value();
      row.record = record;
      row.master = SaeId::parse("SAE-B").value();
      row.slaves = {SaeId::parse("SAE-A").value()};
      row.key_count = 1;
      row.key_bytes = 4096;
      row.expires_at = Millis{1} << 50;
      row.fetched = {0};
      row.bits = SecretBytes(row.key_bytes);
      changes.put_assignments.push_back(std::move(row));
    }
    ASSERT_EQ(store_->commit(std::move(changes)), kms::CommitOutcome::kDurable);
  }

  static std::pair<StoreCommands::Answer, Said> ear() {
    std::promise<Result<std::string>> promise;
    Said said = promise.get_future();
    return {[promise = std::move(promise)](Result<std::string> what) mutable { promise.set_value(std::move(what)); },
            std::move(said)};
  }
  Said seal() {
    auto [answer, said] = ear();
    seals_->seal("admin", std::move(answer));
    return std::move(said);
  }
  Said unseal() {
    auto [answer, said] = ear();
    seals_->unseal("admin", {}, std::move(answer));
    return std::move(said);
  }
  Said ask(StoreCommand command) {
    auto [answer, said] = ear();
    commands_->run(command, "admin", {}, std::move(answer));
    return std::move(said);
  }
  void replace_key_file() {
    std::filesystem::remove(key_file_);
    storage::create_key_file(key_file_).value();
  }

  storage::ScratchFolder folder_;
  const std::filesystem::path key_file_ = folder_.path() / "master.key";
  std::shared_ptr<kms::Policy> policy_ = std::make_shared<kms::Policy>();
  std::unique_ptr<storage::SealableStore> store_;
  OsRandom random_;
  SilentOutlet outlet_;
  std::unique_ptr<EngineThread> engine_;
  std::unique_ptr<StoreCommands> commands_;
  std::unique_ptr<SealCommands> seals_;
  std::atomic<int> opened_ = 0;
};

TEST_F(SealCommandsTest, SealsAndUnsealsAndTakesBothTwice) {
  engine_->start();
  EXPECT_EQ(unseal().get(), "it is not sealed\n");
  EXPECT_THAT(seal().get().value(), HasSubstr("no key goes out"));
  EXPECT_EQ(store_->opened(), nullptr);
  EXPECT_EQ(engine_->state(), State::kSealed);
  EXPECT_EQ(seal().get(), "it is sealed already\n");
  EXPECT_THAT(unseal().get().value(), HasSubstr("unsealed"));
  EXPECT_EQ(engine_->state(), State::kOpen);
  EXPECT_EQ(unseal().get(), "it is not sealed\n");
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(seals_->refused(), 0u);
}

// All of it waits for the thread, in this order: the backup has begun and is not done when the seal comes.
TEST_F(SealCommandsTest, EndsTheBackupThatIsUnderWay) {
  Said backup = ask(StoreCommand::kBackup), sealed = seal();
  engine_->start();
  const auto why = backup.get();
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().code, ErrorCode::kSealed);
  EXPECT_TRUE(sealed.get());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "backups"));
  EXPECT_EQ(ask(StoreCommand::kBackup).get().error().code, ErrorCode::kSealed);
  EXPECT_TRUE(unseal().get());
  EXPECT_TRUE(ask(StoreCommand::kBackup).get());
}

TEST_F(SealCommandsTest, RotatesNoKeyThatIsNotThere) {
  engine_->start();
  EXPECT_TRUE(seal().get());
  std::filesystem::rename(key_file_, folder_.path() / "old");
  storage::create_key_file(key_file_).value();
  EXPECT_EQ(ask(StoreCommand::kRotateMaster).get().error().code, ErrorCode::kSealed);
  std::filesystem::rename(folder_.path() / "old", key_file_);
  EXPECT_TRUE(unseal().get()) << "the old key opens as before";
}

TEST_F(SealCommandsTest, HearsNoAttemptRightAfterOneThatWasRefused) {
  engine_->start();
  EXPECT_TRUE(seal().get());
  replace_key_file();
  const auto wrong = unseal().get();
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text, HasSubstr("do not fit"));
  EXPECT_EQ(store_->opened(), nullptr);
  EXPECT_EQ(engine_->state(), State::kSealed);
  EXPECT_EQ(unseal().get().error().code, ErrorCode::kRateLimited);
  EXPECT_EQ(seals_->refused(), 1u);
  EXPECT_EQ(opened_, 0);
}

TEST_F(SealCommandsTest, SaysThatTheKeyIsNotThere) {
  engine_->start();
  EXPECT_TRUE(seal().get());
  std::filesystem::remove(key_file_);
  EXPECT_EQ(unseal().get().error().code, ErrorCode::kNotFound);
  EXPECT_EQ(seals_->refused(), 1u);
}

TEST_F(SealCommandsTest, AnswersWhoComesWhenTheDaemonStops) {
  engine_->start();
  EXPECT_TRUE(seal().get());
  seals_->stop();
  EXPECT_EQ(unseal().get().error().code, ErrorCode::kClosed);
  engine_->stop();
  EXPECT_EQ(seal().get().error().code, ErrorCode::kClosed);
}

}  // namespace
}  // namespace qkms::server
