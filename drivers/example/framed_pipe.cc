#include "drivers/example/framed_pipe.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/file_descriptor.h"
#include "drivers/waiter.h"

namespace qkms::drivers {
namespace {

constexpr std::string_view kMagic = "QKD1";
constexpr std::size_t kHeaderBytes = 4 + 16 + 4;
constexpr Millis kFrameMs = 10'000;  // a frame that has begun must end within this time

class FramedPipe final : public Driver {
 public:
  explicit FramedPipe(std::filesystem::path device) : device_(std::move(device)) {}

  // Errors end the run: the supervisor shows their text, waits, and calls run() again.
  Result<void> run(DriverHost& host, std::stop_token stopping) override {
    const auto waiter = Waiter::make(std::move(stopping));
    if (!waiter) return std::unexpected(waiter.error());
    const FileDescriptor device(::open(device_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!device.is_open()) return fail(ErrorCode::kIo, "cannot open " + device_.string());
    host.report({});  // the device is there
    for (;;) {
      std::array<std::uint8_t, kHeaderBytes> header;
      Result<bool> whole = read_all(device, header, -1, **waiter);
      if (!whole || !*whole) return whole ? Result<void>() : std::unexpected(whole.error());
      if (!std::ranges::equal(std::span(header).first(4), kMagic))
        return fail(ErrorCode::kCorrupt, "no frame begins here");
      BlockId::Bytes id;
      std::copy_n(header.begin() + 4, id.size(), id.begin());
      const std::size_t size = std::size_t{header[20]} << 24 | header[21] << 16 | header[22] << 8 | header[23];
      if (size < kMinBlockBytes || size > kMaxBlockBytes)
        return fail(ErrorCode::kCorrupt, "a frame of an impossible size");
      Block block{BlockId(id), SecretBytes(size)};  // key bits go straight into memory that is wiped
      whole = read_all(device, block.bits.reveal_mutable(), kFrameMs, **waiter);
      if (!whole || !*whole) return whole ? Result<void>() : std::unexpected(whole.error());
      const Result<void> taken = host.offer(std::move(block));  // waits while the house is full
      if (!taken && taken.error().code == ErrorCode::kClosed) return {};
    }
  }

  Result<std::string> probe() override {
    if (std::error_code error; !std::filesystem::exists(device_, error))
      return fail(ErrorCode::kNotFound, "no such device");
    return device_.string() + " is there";
  }

  std::string_view kind() const override { return "framed-pipe"; }

 private:
  // False: the driver is to stop.
  static Result<bool> read_all(const FileDescriptor& device, std::span<std::uint8_t> out, Millis limit,
                               Waiter& waiter) {
    while (!out.empty()) {
      switch (waiter.wait(device.get(), POLLIN, limit)) {
        case Waiter::Woken::kStop:
          return false;
        case Waiter::Woken::kTime:
          return fail(ErrorCode::kIo, "the device stopped in the middle of a frame");
        case Waiter::Woken::kReady:
          break;
      }
      const ssize_t got = ::read(device.get(), out.data(), out.size());
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) return fail(ErrorCode::kIo, "the device is gone");
      out = out.subspan(static_cast<std::size_t>(got));
    }
    return true;
  }

  const std::filesystem::path device_;
};

}  // namespace

std::unique_ptr<Driver> make_framed_pipe_driver(std::filesystem::path device) {
  return std::make_unique<FramedPipe>(std::move(device));
}

}  // namespace qkms::drivers
