// Copies the audit log to the machine's syslog: each durable record's line as one message of RFC 5424, facility
// authpriv, to a Unix datagram socket (/dev/log).
//
// The audit log in the store is the queue: a copy that cannot be written is read from there again, so an outage of the
// syslog loses nothing that the store still has, needs no memory, and never stops the service.
// Operation: start() once, finish() once. Concurrency: a thread of its own; counts from any. Limits: kPageBytes at a
// time.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "storage/audit_chain.h"
#include "storage/os.h"

namespace qkms::server {

struct SyslogCounts {
  std::atomic<std::uint64_t> copied = 0;
  std::atomic<std::uint64_t> skipped = 0;  // gone from the store before they could be copied, or too long for a message
  std::atomic<std::uint64_t> waiting = 0;
};

class SyslogCopy {
 public:
  static constexpr std::size_t kPageBytes = 64 * 1024;
  // Lines from this record on, about so many bytes of them. Called on this object's thread, and by finish().
  using Read = std::function<Result<storage::AuditPage>(std::uint64_t first, std::size_t bytes)>;

  SyslogCopy(std::filesystem::path socket, Read read);

  // From the record behind `last` on.
  void start(std::uint64_t last);
  // What there is goes out once more, read by `read`, if the socket takes it.
  void finish(const Read& read);

  const SyslogCounts& counts() const { return counts_; }

 private:
  enum class Step { kMore, kDone, kFailed };
  void run(const std::stop_token& stopping);
  Step copy_page(const Read& read);
  std::string message_of(std::string_view line) const;
  enum class Sent { kYes, kTooLong, kNo };
  Sent send(const std::string& message);
  Result<void> connect();
  void note_outage(const std::string& why);
  void note_recovery();

  const std::filesystem::path socket_;
  const Read read_;
  const std::string origin_;  // what stands behind a message's time
  std::uint64_t last_ = 0;    // copied, or skipped
  std::optional<FileDescriptor> descriptor_;
  bool out_ = false;
  std::uint64_t skipped_at_outage_ = 0;
  SyslogCounts counts_;
  std::jthread thread_;
};

}  // namespace qkms::server
