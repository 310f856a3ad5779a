// A QKD device driver turns what a device gives into blocks under IDs that are equal at both ends of the link. It knows
// nothing of reservoirs, peers or the store.
//
// Operation: start() once, stop() once; between the two the driver calls its sink from a thread of its own.
// Concurrency: start() and stop() come from one thread; BlockSink::offer may be called from any thread and does not
// block for long. Limits: a block is kMinBlockBytes to kMaxBlockBytes long. A refused block is the driver's to keep or
// to drop.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"

namespace qkms::drivers {

inline constexpr std::size_t kMinBlockBytes = 64;
inline constexpr std::size_t kMaxBlockBytes = 1 << 20;

struct Block {
  BlockId id;
  SecretBytes bits;
};

class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // kOverloaded: the queue is full, nothing was taken; the block's bits are wiped all the same.
  virtual Result<void> offer(const LinkId& link, Block block) = 0;
};

class Driver {
 public:
  virtual ~Driver() = default;
  virtual void start() = 0;
  virtual void stop() = 0;  // returns when the driver's thread has ended
  virtual std::string_view kind() const = 0;
  virtual bool simulated() const = 0;  // true: its bits are not secret, and log, status and metrics say so loudly
};

}  // namespace qkms::drivers
