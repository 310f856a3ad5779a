// T29: what a peer says that no peer of ours would say.
#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using namespace testing;

class HostilePeerTest : public ::testing::Test {
 protected:
  // As KME-B, whose extents at KME-A it takes from the front.
  void assign_to_a(std::uint64_t record, std::uint32_t key_count, std::uint32_t key_bytes) {
    const Snapshot stored = sites_.at("KME-A").store.load_all().value();
    std::uint32_t wanted = key_count * key_bytes;
    api::Assign assign{.record = record,
                       .master = sae("SAE-B1"),
                       .slaves = {sae("SAE-A1")},
                       .key_count = key_count,
                       .key_bytes = key_bytes,
                       .life_ms = 1,
                       .ranges = {},
                       .under_pad = {}};
    for (const ExtentRow& extent : stored.extents) {
      if (extent.owner != Owner::kPeer || wanted == 0) continue;
      assign.ranges.push_back({extent.id, extent.front, std::min(wanted, extent.size - extent.front)});
      wanted -= assign.ranges.back().size;
    }
    ASSERT_EQ(wanted, 0u);
    say("KME-B", 1, std::move(assign));
  }

  // The peer's next message to KME-A, in the session with this number: the first connection has 1.
  void say(const std::string& peer, SessionId session, api::Message message) {
    std::uint64_t received = 0;
    const Snapshot stored = sites_.at("KME-A").store.load_all().value();
    for (const PeerRow& row : stored.peers) {
      if (row.peer == kme(peer)) received = row.received;
    }
    sites_.send("KME-A", PeerFrame{kme(peer), session, {0, api::Numbered{received + 1, std::move(message)}, {}}});
  }

  Sites sites_;
};

// The codec refuses such records by now, but an older version may have stored one.
TEST_F(HostilePeerTest, ExpiresARecordThatNoKeyIdHasRoomFor) {
  sites_.connect("KME-A", "KME-B");
  for (std::uint8_t number = 1; number < 12; ++number) sites_.feed("link-ab", number, 16'384);
  assign_to_a(std::uint64_t{1} << 62, 1, 32);
  assign_to_a((std::uint64_t{1} << 62) + 1, 66'000, 1);
  sites_.restart("KME-A");
  sites_.advance(3000);
  EXPECT_EQ(sites_.at("KME-A").node->state(), Node::State::kOpen);
  EXPECT_TRUE(
      sites_.at("KME-A").store.load({.extent_bits = {}, .assignments = {}, .expired_at = INT64_MAX})->expired.empty());
}

TEST_F(HostilePeerTest, DoesNotRefuseForAnotherPeer) {
  sites_.connect("KME-A", "KME-C");
  sites_.connect("KME-A", "KME-B");
  sites_.feed("link-ab", 1, 4096);
  sites_.hold_frames(true);
  KeyRequest request;
  request.caller = sae("SAE-A1");
  request.slave = sae("SAE-B1");
  sites_.send("KME-A", SaeEvent{77, request});
  std::uint64_t record = 0;
  const Snapshot stored = sites_.at("KME-A").store.load_all().value();
  for (const OutboxRow& row : stored.outbox) {
    if (const auto* assign = std::get_if<api::Assign>(&row.message)) record = assign->record;
  }
  ASSERT_NE(record, 0u);
  sites_.drop_held_frames();
  say("KME-C", 1, api::AssignRefuse{record, api::AssignRefuseReason::kUnknownSae});
  EXPECT_TRUE(sites_.at("KME-A").replies.empty());
  say("KME-B", 2, api::AssignRefuse{record, api::AssignRefuseReason::kUnknownSae});
  EXPECT_EQ(sites_.at("KME-A").replies.size(), 1u);
}

}  // namespace
}  // namespace qkms::kms
