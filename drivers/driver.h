// A QKD device driver turns what a device gives into blocks under IDs that are equal at both ends of the link. It knows
// nothing of reservoirs, peers or the store. docs/drivers.md shows how to write one.
//
// Operation: the supervisor (supervisor.h) calls run() on a thread of the driver's own. A driver may block, fail and
// throw: an error, or an exception, ends this run, and after a while the next one begins.
// Concurrency: run() is never entered twice at a time; probe() and hear() may be called meanwhile, from other threads.
// Limits: a block is kMinBlockBytes to kMaxBlockBytes long.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"
#include "drivers/device_report.h"

namespace qkms::drivers {

inline constexpr std::size_t kMinBlockBytes = 64;
inline constexpr std::size_t kMaxBlockBytes = 1 << 20;
inline constexpr std::size_t kMaxNoteBytes = 16384;

struct Block {
  BlockId id;
  SecretBytes bits;
};

// What a driver sees of the house.
class DriverHost {
 public:
  virtual ~DriverHost() = default;
  // Waits while the house cannot take more: a driver that waits does not read from its device, which is all the
  // back-pressure there is. kInvalid: the block is not wanted and gone, go on. kClosed: the driver is to stop; the
  // block was not taken.
  virtual Result<void> offer(Block block) = 0;
  // What the device says now; it stays in force until the next report.
  virtual void report(DeviceReport report) = 0;
  // To the driver at the other end of the link, over the session between the KMEs: at most kMaxNoteBytes, public, in
  // order, at most once. It is lost when there is no session; a driver must be able to live with that.
  virtual void tell_twin(std::string note) = 0;
  // Something came in that is no block: a file with a wrong header, a message that does not parse. Counted, and shown
  // to the operator. No key bits in `why`.
  virtual void reject(std::string why) = 0;
};

class Driver {
 public:
  virtual ~Driver() = default;
  // Returns soon after `stopping` says so; nothing else ends it well. An error says, for the operator, why it cannot go
  // on.
  virtual Result<void> run(DriverHost& host, std::stop_token stopping) = 0;
  // What the twin has told: from another thread than run()'s, which it must not block. Untrusted: the other end may be
  // anything. A driver without a twin to talk to ignores it.
  virtual void hear(std::string note) { static_cast<void>(note); }
  // Looks whether the device is there, without consuming anything; a sentence for the operator.
  virtual Result<std::string> probe() = 0;
  virtual std::string_view kind() const = 0;
  virtual bool simulated() const { return false; }  // true: its bits are not secret, and everybody says so loudly
};

// Where the supervisor passes blocks on to.
class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // From any thread; does not block. kOverloaded: nothing was taken, and `block` is as it was.
  virtual Result<void> offer(const LinkId& link, Block& block) = 0;
  // See DriverHost::tell_twin.
  virtual void tell_twin(const LinkId& link, std::string note) = 0;
  // Bits that were not let in, for the audit log.
  virtual void quarantined(const LinkId& link, const BlockId& block, std::size_t bytes, const std::string& why) = 0;
};

}  // namespace qkms::drivers
