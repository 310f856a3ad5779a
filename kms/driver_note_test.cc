// What drivers at the two ends of a link tell each other.
#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using namespace testing;

class DriverNoteTest : public ::testing::Test {
 protected:
  void tell(const std::string& site, const std::string& on, const std::string& what) {
    sites_.send(site, DriverNote{link(on), what});
  }
  std::vector<std::string> heard(const std::string& site) {
    std::vector<std::string> all;
    for (const DriverNote& note : sites_.at(site).notes) all.push_back(note.link.str() + ": " + note.bytes);
    return all;
  }
  Sites sites_;
};

TEST_F(DriverNoteTest, ReachesTheOtherEndInOrder) {
  sites_.connect("KME-A", "KME-B");
  tell("KME-A", "link-ab", "one");
  tell("KME-A", "link-ab", std::string("\0two", 4));
  tell("KME-B", "link-ab", "three");
  EXPECT_EQ(heard("KME-B"), (std::vector<std::string>{"link-ab: one", std::string("link-ab: \0two", 13)}));
  EXPECT_EQ(heard("KME-A"), std::vector<std::string>{"link-ab: three"});
  EXPECT_TRUE(heard("KME-C").empty());
}

TEST_F(DriverNoteTest, IsLostWithoutASessionAndOnALinkThatNobodyHas) {
  tell("KME-A", "link-ab", "too early");
  sites_.connect("KME-A", "KME-B");
  tell("KME-A", "link-xy", "to nobody");
  EXPECT_TRUE(heard("KME-B").empty());
}

TEST_F(DriverNoteTest, IsNotTakenFromAPeerWhoseLinkItIsNot) {
  sites_.connect("KME-A", "KME-C");
  sites_.send("KME-A",
              PeerFrame{kme("KME-C"), 1, {0, api::Heartbeat{{}, api::LinkNote{link("link-ab"), "forged"}}, {}}});
  EXPECT_TRUE(heard("KME-A").empty());
  sites_.send("KME-A",
              PeerFrame{kme("KME-C"), 1, {0, api::Heartbeat{{}, api::LinkNote{link("link-ac"), "its own"}}, {}}});
  EXPECT_EQ(heard("KME-A"), std::vector<std::string>{"link-ac: its own"});
}

// So that a driver may leave key material with its device.
TEST_F(DriverNoteTest, DriversHearWhenTheReservoirIsFull) {
  sites_.change_policy("KME-A", [](Policy& policy) { policy.peers.at(kme("KME-B")).reservoir_capacity_bytes = 4096; });
  sites_.connect("KME-A", "KME-B");
  sites_.advance(100);
  EXPECT_FALSE(sites_.at("KME-A").full.at(link("link-ab")));
  for (std::uint8_t number = 1; number < 4; ++number) sites_.feed("link-ab", number, 4096);
  sites_.advance(100);
  EXPECT_TRUE(sites_.at("KME-A").full.at(link("link-ab")));
  EXPECT_FALSE(sites_.at("KME-A").full.at(link("link-ac")));
  while (sites_.at("KME-A").full.at(link("link-ab"))) {
    KeyRequest request;
    request.caller = sae("SAE-A1");
    request.slave = sae("SAE-B1");
    request.number = 16;
    sites_.keys("KME-A", request);
    sites_.advance(100);
  }
}

}  // namespace
}  // namespace qkms::kms
