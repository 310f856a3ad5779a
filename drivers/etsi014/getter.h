// The end that calls Get key: the leading one in pull mode, both in paired mode. It asks the device what it offers,
// gets keys within that, and makes blocks of them.
//
// A key that is large enough is, in paired mode, a block of its own. Otherwise the leading end puts keys together, as
// many as come within kGatherMs, and tells its twin which; the following end of paired mode waits for that. In pull
// mode it keeps at most kMaxAhead blocks ahead of its twin, so that a device is not drained for a twin that does not
// follow; a receipt that has not come after fetch_ms is not waited for any longer.
#pragma once

#include <map>
#include <optional>

#include "drivers/etsi014/block_draft.h"
#include "drivers/etsi014/context.h"

namespace qkms::drivers::etsi014 {

class Getter {
 public:
  static constexpr Millis kGatherMs = 1'000;  // a block is closed when its first key has waited so long

  static constexpr std::size_t kMaxAhead = 16;

  explicit Getter(Context context) : context_(context), backoff_(context.settings.poll_ms) {}

  // As Driver::run().
  Result<void> run();

 private:
  struct Offer {  // what the device has for us
    std::uint32_t size_bits = 0;
    std::size_t per_request = 0;
    std::uint64_t available = 0;  // keys of that size
    std::uint32_t key_bytes() const { return size_bits / 8; }
  };

  Result<Next> step();
  Result<Next> ask_status();
  Result<Offer> offer_in(const DeviceStatus& status) const;
  Result<Next> get_some();
  Result<Next> after(const CallFailure& failure);
  Result<Next> end_with(const Error& error);
  void give_up_draft(std::string_view why);
  Result<Next> take_in(std::vector<DeviceKey> keys);
  Next take_one(DeviceKey key);
  Next close_draft();
  bool is_ahead();
  void hear_receipt(const BlockId& block);
  Next hear_notes();
  Next pause();

  Context context_;
  Offer offer_;
  Millis asked_at_ = 0;
  std::string oddity_;
  bool has_reported_ = false;
  bool got_some_ = false;  // in this step
  std::optional<BlockDraft> draft_;
  Millis draft_until_ = 0;
  std::map<BlockId, Millis> told_;  // and no receipt yet
  Backoff backoff_;
};

}  // namespace qkms::drivers::etsi014
