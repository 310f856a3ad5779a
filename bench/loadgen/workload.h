// What is asked: turns a scenario into HTTP requests.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "bench/loadgen/key_ids.h"
#include "bench/loadgen/options.h"

namespace qkms::bench {

// Shared by all threads.
class Workload {
 public:
  static Result<Workload> create(const Options& options);

  // Puts the next request in place of `request`, whose memory is used again. False: there is nothing left to ask.
  bool next(std::string& request) const;

  // How many keys a 200 must carry; 0: not looked at.
  std::size_t keys_in_answer() const { return keys_in_answer_; }

 private:
  void write_with_ids(std::span<const KeyIdText> ids, std::string& request) const;

  std::string fixed_;  // the whole request, when it is always the same
  std::string dec_keys_path_, head_end_;
  std::shared_ptr<KeyIdSource> ids_;
  std::size_t keys_in_answer_ = 0;
};

}  // namespace qkms::bench
