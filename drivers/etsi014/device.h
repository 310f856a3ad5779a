// The three calls of ETSI GS QKD 014 V1.1.1 §5 to a device, and what became of each: above all, whether it can have
// consumed keys.
//
// Concurrency: one thread.
#pragma once

#include <span>
#include <vector>

#include "drivers/etsi014/device_messages.h"
#include "drivers/etsi014/etsi014.h"
#include "drivers/http_client.h"

namespace qkms::drivers::etsi014 {

enum class Outcome {
  kStopped,  // the driver is to stop; what the call asked for is given up
  kNotSent,  // the device cannot have got it
  kBusy,     // refused for now (503, 429): nothing was consumed
  kRefused,  // nothing was consumed, and another try will not help
  kLost,     // it may have consumed, and what it gave did not come
  kWrong,    // it gave something else than what was asked for
};

struct CallFailure {
  Outcome outcome = Outcome::kRefused;
  Error error;
};
template <class T>
using CallResult = std::expected<T, CallFailure>;

class Device {
 public:
  // Both must outlive it.
  Device(const Etsi014Settings& settings, Waiter& waiter)
      : settings_(settings), http_(settings.tls, settings.answer_ms, waiter) {}

  // Consumes nothing; tried again once when the connection broke.
  CallResult<DeviceStatus> status();
  // Exactly `number` keys of `size_bits`, no two with one ID.
  CallResult<std::vector<DeviceKey>> get(std::size_t number, std::uint32_t size_bits);
  // Exactly these keys, of key_bytes each, in the order of `ids`, which differ.
  CallResult<std::vector<DeviceKey>> get_by_id(std::span<const KeyId> ids, std::size_t key_bytes);

 private:
  CallResult<SecretBytes> ask(std::string_view method, std::string_view operation, std::string_view json);

  const Etsi014Settings& settings_;
  HttpClient http_;
};

}  // namespace qkms::drivers::etsi014
