// How often each caller was refused for which reason, gathered into one record of the audit log a second: a caller that
// is refused all the time must not cost a disk write each time (docs/adr/0009).
//
// Concurrency: the engine's thread. Limits: kMaxCallers; who comes beyond them within a second is counted as "others".
#pragma once

#include <map>
#include <utility>

#include "kms/batch.h"

namespace qkms::kms {

class Refusals {
 public:
  static constexpr std::size_t kMaxCallers = 1024;

  void count(const SaeId& caller, ErrorCode reason);
  void flush(Batch& batch);

 private:
  std::map<std::pair<std::string, ErrorCode>, std::uint64_t> counts_;
};

}  // namespace qkms::kms
