// The end that calls Get key with key IDs: the following one in pull mode. For each note from its twin it fetches the
// keys from its own device and makes the same block of them.
#pragma once

#include "drivers/etsi014/block_draft.h"
#include "drivers/etsi014/context.h"

namespace qkms::drivers::etsi014 {

class Fetcher {
 public:
  explicit Fetcher(Context context) : context_(context) {}

  // As Driver::run().
  Result<void> run();

 private:
  Result<Next> fetch(std::string_view text);
  Result<Next> fetch_all(const Note& note);
  CallResult<std::size_t> keys_per_request();
  template <class Call>
  auto patiently(Call call, Millis until) -> decltype(call());
  Result<Next> give_up(const CallFailure& failure);

  Context context_;
  std::size_t per_request_ = 0;
  Millis asked_at_ = 0;
  std::string oddity_;
};

}  // namespace qkms::drivers::etsi014
