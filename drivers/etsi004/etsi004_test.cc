// One driver against a device that answers as a table says. tests/drivers/etsi004_test.py has two drivers and a device
// of another author's.
#include "drivers/etsi004/etsi004.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "drivers/etsi004/twin_note.h"
#include "drivers/testing/bits.h"
#include "drivers/testing/fake_host.h"
#include "drivers/testing/tls_device.h"

namespace qkms::drivers {
namespace {

using etsi004::StreamId;
using etsi004::TwinNote;
using testing::HasSubstr;

const LinkId kLink = LinkId::parse("A-B").value();
constexpr StreamId kStream = {7};

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::uint32_t number_in(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes.at(at + i));
  return value;
}

std::string text_of(const StreamId& id) { return {id.begin(), id.end()}; }

// In the dialect fixed-mime. Each call's answer comes from a function of the request's payload; nothing: it hangs.
class Device {
 public:
  using Answer = std::function<std::optional<std::string>(const std::string& request)>;

  static std::string opened(const std::string& request) {
    return number(0) + request.substr(request.size() - 28 - 256 - 16);  // the QoS and the stream that were asked for
  }
  static std::string given(const std::string& request) {
    const std::uint32_t index = number_in(request, 16);
    const SecretBytes key = random_bits(64, index + 1);
    return number(0) + number(index) + number(64) + std::string(key.reveal().begin(), key.reveal().end()) + number(0);
  }
  void answer_open(Answer answer) {
    const std::lock_guard lock(mutex_);
    open_ = std::move(answer);
  }
  void answer_get(Answer answer) {
    const std::lock_guard lock(mutex_);
    get_ = std::move(answer);
  }

  // Of Get key, in order.
  bool wait_for_gets(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return gets_.size() >= count; });
  }
  std::vector<std::string> gets() {
    const std::lock_guard lock(mutex_);
    return gets_;
  }
  std::size_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

  void serve(TlsDevice::Connection& connection) {
    std::string buffer;
    while (const auto some = connection.read_some()) {
      buffer += *some;
      {
        const std::lock_guard lock(mutex_);
        bytes_ += some->size();
      }
      while (buffer.size() >= 8 && buffer.size() - 8 >= number_in(buffer, 4)) {
        const std::uint32_t size = number_in(buffer, 4);
        if (!answer(connection, buffer[3], buffer.substr(8, size))) return;
        buffer.erase(0, 8 + size);
      }
    }
  }

 private:
  bool answer(TlsDevice::Connection& connection, char service, const std::string& request) {
    if (service == 4) {
      const std::lock_guard lock(mutex_);
      gets_.push_back(request);
      changed_.notify_all();
    }
    Answer chosen;
    {
      const std::lock_guard lock(mutex_);
      chosen = service == 2 ? open_ : service == 4 ? get_ : close_;
    }
    const auto payload = chosen(request);
    if (!payload) {
      connection.hang();
      return false;
    }
    return connection.write(std::string({1, 0, 1, static_cast<char>(service + 1)}) +
                            number(static_cast<std::uint32_t>(payload->size())) + *payload);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Answer open_ = opened, get_ = given, close_ = [](const std::string&) { return number(0); };
  std::vector<std::string> gets_;
  std::size_t bytes_ = 0;
};

class Etsi004Test : public testing::Test {
 protected:
  Etsi004Test() {
    std::signal(SIGPIPE, SIG_IGN);
    settings_.tls = pki_.settings(listener_.port());
    settings_.dialect = etsi004::Dialect::kFixedMime;
    settings_.source = "qkd://a";
    settings_.destination = "qkd://b";
    settings_.stream = kStream;
    settings_.qos.chunk_bytes = 64;
    settings_.poll_ms = 10;
    settings_.answer_ms = 600'000;
  }
  std::unique_ptr<Driver> driver() { return make_etsi004_driver(kLink, settings_); }

  DevicePki pki_;
  Device device_;
  TlsDevice listener_{pki_, [this](TlsDevice::Connection& connection) { device_.serve(connection); }};
  Etsi004Settings settings_;
  KeepingHost host_;
};

TEST_F(Etsi004Test, OffersBlockAfterBlock) {
  const auto made = driver();
  RunningDriver running(*made, host_);
  ASSERT_TRUE(host_.wait_for_blocks(3));
  EXPECT_TRUE(running.stop());
  for (std::uint32_t index = 0; index < 3; ++index)
    EXPECT_TRUE(host_.blocks()[index].bits.equals(random_bits(64, index + 1)));
  EXPECT_EQ(host_.reports().front(), DeviceReport{});
  EXPECT_EQ(device_.gets()[2], text_of(kStream) + number(2) + number(1024));
}

// What each status of OPEN_CONNECT, given again and again, comes to: an alarm, and it goes on asking; or an error.
TEST_F(Etsi004Test, KnowsEachStatusOfOpen) {
  struct Case {
    std::uint32_t status;
    const char* alarm;
    const char* error;
  };
  const Case cases[] = {{2, "", "OPEN_CONNECT with status 2, which is no answer"},
                        {3, "", "OPEN_CONNECT with status 3, which is no answer"},
                        {4, "no QKD connection", ""},
                        {5, "in use", ""},
                        {6, "ran out of time", ""},
                        {7, "", "one counter-proposal after the other"},
                        {8, "", "OPEN_CONNECT with status 8, which is no answer"},
                        {9, "", "OPEN_CONNECT with status 9, which is no answer"},
                        {0xffffffff, "", "OPEN_CONNECT with status 4294967295, which is no answer"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.status);
    device_.answer_open([status = each.status](const std::string& request) {
      return number(status) + Device::opened(request).substr(4);
    });
    KeepingHost host;
    const auto made = driver();
    RunningDriver running(*made, host);
    if (*each.alarm != '\0') {
      ASSERT_TRUE(host.wait_for_reports(1));
      EXPECT_TRUE(running.stop());
      EXPECT_THAT(host.reports().front().alarm, HasSubstr(each.alarm));
    } else {
      const auto ended = running.wait();
      ASSERT_FALSE(ended);
      EXPECT_THAT(ended.error().text, HasSubstr(each.error));
    }
    EXPECT_TRUE(host.blocks().empty());
  }
  EXPECT_TRUE(device_.gets().empty());
}

// Likewise GET_KEY; and whether the index that was asked for is asked for again.
TEST_F(Etsi004Test, KnowsEachStatusOfGet) {
  struct Case {
    std::uint32_t status;
    const char* alarm;
    const char* error;
    std::uint32_t third_index;
  };
  const Case cases[] = {{1, "", "GET_KEY with status 1, which is no answer", 0},
                        {2, "", "", 0},
                        {3, "", "", 0},
                        {4, "no QKD connection", "", 0},
                        {5, "", "GET_KEY with status 5, which is no answer", 0},
                        {6, "", "", 2},
                        {7, "", "GET_KEY with status 7, which is no answer", 0},
                        {9, "", "GET_KEY with status 9, which is no answer", 0}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.status);
    const std::size_t before = device_.gets().size();
    device_.answer_get([status = each.status](const std::string&) { return number(status); });
    KeepingHost host;
    const auto made = driver();
    RunningDriver running(*made, host);
    if (*each.error != '\0') {
      const auto ended = running.wait();
      ASSERT_FALSE(ended);
      EXPECT_THAT(ended.error().text, HasSubstr(each.error));
      EXPECT_EQ(host.rejected().size(), 1u);
    } else {
      ASSERT_TRUE(device_.wait_for_gets(before + 3));
      EXPECT_TRUE(running.stop());
      EXPECT_EQ(number_in(device_.gets()[before + 2], 16), each.third_index);
      EXPECT_THAT(host.reports().back().alarm, HasSubstr(each.alarm));
      EXPECT_EQ(host.rejected().empty(), each.third_index == 0);
    }
    EXPECT_TRUE(host.blocks().empty());
  }
}

TEST_F(Etsi004Test, MakesRoomForMetadataWithinBounds) {
  device_.answer_get([](const std::string& request) { return number(8) + number(number_in(request, 20) * 2); });
  const auto made = driver();
  const auto ended = made->run(host_, {});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().text, "the device needs 8192 bytes for metadata where there are 4096; accepted: up to 4096");
  EXPECT_EQ(device_.gets(), (std::vector<std::string>{text_of(kStream) + number(0) + number(1024),
                                                      text_of(kStream) + number(0) + number(2048),
                                                      text_of(kStream) + number(0) + number(4096)}));
}

TEST_F(Etsi004Test, GoesOnAfterAnErrorBehindWhatItAskedFor) {
  device_.answer_get([](const std::string& request) -> std::optional<std::string> {
    if (number_in(request, 16) == 2) return "no answer at all";
    return Device::given(request);
  });
  const auto made = driver();
  EXPECT_FALSE(made->run(host_, {}));
  RunningDriver running(*made, host_);
  ASSERT_TRUE(host_.wait_for_blocks(4));
  EXPECT_TRUE(running.stop());
  EXPECT_TRUE(host_.blocks()[2].bits.equals(random_bits(64, 3 + 1)));
  EXPECT_EQ(host_.rejected().front(), "chunk 2 was asked for and is given up: an answer to GET_KEY has a wrong length");
}

TEST_F(Etsi004Test, IsTiredOfADeviceThatStartsAgain) {
  device_.answer_get(
      [](const std::string&) { return number(0) + number(0) + number(64) + std::string(64, 'x') + number(0); });
  const auto made = driver();
  for (int run = 0; run < 3; ++run) {
    const auto ended = made->run(host_, {});
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().text, HasSubstr("the device gives chunk 0 when asked for 1"));
  }
  EXPECT_EQ(host_.blocks().size(), 1u);
}

TEST_F(Etsi004Test, StopsWhileTheDeviceHangs) {
  device_.answer_get([](const std::string&) { return std::nullopt; });
  const auto made = driver();
  RunningDriver running(*made, host_);
  ASSERT_TRUE(device_.wait_for_gets(1));
  EXPECT_TRUE(running.stop());  // answer_ms is ten minutes
  EXPECT_EQ(host_.blocks().size(), 0u);
}

TEST_F(Etsi004Test, ProbesWithoutAWord) {
  const auto said = driver()->probe();
  ASSERT_TRUE(said) << said.error().text;
  EXPECT_THAT(*said, HasSubstr("no chunk has come yet"));
  EXPECT_EQ(device_.bytes(), 0u);
  settings_.tls.server_name = "somebody.else";
  EXPECT_FALSE(driver()->probe());
}

TEST_F(Etsi004Test, TheOtherEndOpensWhatItIsTold) {
  settings_.stream.reset();
  settings_.end = StreamEnd::kJoins;
  const auto made = driver();
  made->hear("");
  made->hear(std::string(18, '\1'));                                   // another stream, for a moment
  made->hear(encode(TwinNote{TwinNote::Kind::kAsks, StreamId{1}}));    // it is not asked
  made->hear(encode(TwinNote{TwinNote::Kind::kIsOpen, StreamId{3}}));  // the last word counts
  RunningDriver running(*made, host_);
  ASSERT_TRUE(host_.wait_for_blocks(2));
  EXPECT_TRUE(running.stop());
  EXPECT_EQ(device_.gets().front().substr(0, 16), text_of(StreamId{3}));
}

TEST(TwinNote, IsReadAsItWasWritten) {
  for (const TwinNote note : {TwinNote{TwinNote::Kind::kIsOpen, kStream}, TwinNote{TwinNote::Kind::kAsks, {}}}) {
    const std::string bytes = encode(note);
    EXPECT_EQ(bytes.size(), 18u);
    EXPECT_EQ(etsi004::decode_twin_note(bytes), note);
  }
}

TEST(TwinNote, IsNoneWhenAnythingIsWrong) {
  const std::string good = encode(TwinNote{TwinNote::Kind::kIsOpen, kStream});
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(etsi004::decode_twin_note(good.substr(0, size))) << size;
  EXPECT_FALSE(etsi004::decode_twin_note(good + "x"));
  for (const char version : {'\0', '\2', '\xff'}) EXPECT_FALSE(etsi004::decode_twin_note(version + good.substr(1)));
  for (const char kind : {'\0', '\3', '\xff'})
    EXPECT_FALSE(etsi004::decode_twin_note(good.substr(0, 1) + kind + good.substr(2)));
}

}  // namespace
}  // namespace qkms::drivers
