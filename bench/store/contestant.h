// Two stores that do the same work and are timed in turn: the one of qkmsd (qkms_store.h), and SQLite with as little
// around it as can be (bare_store.h).
//
// Operation: each call does the work of one commit, with what the engine asks of a store for it, and returns what that
// took; making up the rows is not in it. A call that finds anything but what it should (a row that is not there, a
// commit that fails) throws std::runtime_error: a figure of something that did not happen is no figure.
// Concurrency: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "bench/store/spent.h"

namespace qkms::bench {

using Records = std::span<const std::uint64_t>;

// Which rows the bare store writes. The store of qkmsd always writes all.
enum class Rows {
  kKeys,  // those that tell of keys: assignments, extents, messages, the peer's and the node's row
  kAll,   // also the head and the audit log, as bytes of the same size
};

class Contestant {
 public:
  virtual ~Contestant() = default;

  // The slave's KME takes over keys that a peer assigns: one key of 256 bits for each record.
  virtual Spent put(Records records) = 0;
  // Get key with key IDs, one request a record: loads them, then drops them and notes who got them.
  virtual Spent deliver(Records records) = 0;
  // The master's KME, so many Get key requests: an extent's front moves, a message to the peer each; the peer
  // acknowledges those of the batch before, which are answered.
  virtual Spent take(std::size_t keys) = 0;
  // So many blocks of kBlockBytes come from a device (one commit), and the peer has them too (another).
  virtual Spent ingest(std::size_t blocks) = 0;

  // Closes the store. Nothing else may be called until open().
  virtual void close() = 0;
  // What a start does until requests can be served.
  virtual Spent open() = 0;

  virtual void use(Rows rows) = 0;
  // All files of the store that grow with its content: database and write-ahead log.
  virtual std::uint64_t size_bytes() const = 0;
  virtual std::uint64_t log_bytes() const = 0;
  virtual const std::filesystem::path& file() const = 0;
};

inline constexpr std::size_t kKeysPerCommit = 64;  // a batch of the daemon under load
inline constexpr std::size_t kBlockBytes = 65536;
inline constexpr std::size_t kMacBytes = 32;  // of each block, spent on comparing its halves

}  // namespace qkms::bench
