// For tests: a pair of devices that offer ETSI GS QKD 014 V1.1.1 to the KMEs at the two ends of a link, written from
// the standard alone, and what can be wrong with one.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/testing/tls_device.h"

namespace qkms::drivers {

enum class Fault {
  kNone,
  // Before anything is done:
  kRefuses400,
  kRefuses401WithBody,
  kRefuses403,
  kRefuses404,
  kRefuses410,
  kBusy503,
  kBusy429,
  // Done, and then:
  kDiesBeforeTheAnswer,
  kDiesWithinTheAnswer,
  kHangs,
  kCutsTheBody,  // a whole HTTP answer with half a body
  kSendsNoHttp,
  kSays500,
  kSays204,
  kGivesWrongSize,
  kGivesFewer,
  kGivesMore,
  kGivesOneIdTwice,
  kGivesOldIds,
  kGivesOtherIds,
  kGivesBadBase64,
  // Odd, and no fault:
  kShuffles,
  kWritesIdsInUpperCase,
  kClosesAfterTheAnswer,
  kSendsChunks,
};

struct DeviceLimits {
  std::size_t key_size_bits = 256, min_key_size_bits = 64, max_key_size_bits = 4096;
  std::size_t max_key_per_request = 128;
  std::size_t stored = 64;  // keys of key_size_bits, as the status says
};

// What the two devices share: keys that the one has handed out, for the other.
class DevicePool {
 public:
  using Key = std::pair<std::string, std::string>;  // ID, base64
  Key make(std::size_t bytes);
  // The nth key of paired devices.
  Key paired(std::size_t n, std::size_t bytes);
  // Once: nothing when it is not there.
  std::optional<std::string> take(const std::string& id);

 private:
  Key make_locked(std::size_t bytes);
  std::mutex mutex_;
  std::uint64_t made_ = 0;
  std::map<std::string, std::string> for_the_slave_;
  std::vector<Key> paired_;
};

class ScriptedDevice {
 public:
  enum class Phase { kBefore, kDone, kAnswered };
  struct Hooks {
    // Of the nth request of this kind ("status", "enc_keys", "dec_keys"), from 1.
    std::function<Fault(const std::string& operation, int nth)> fault = [](const std::string&, int) {
      return Fault::kNone;
    };
    std::function<void(const std::string& operation, int nth, Phase phase)> reached = [](const std::string&, int,
                                                                                         Phase) {};
    bool paired = false;
    std::function<std::size_t()> paired_keys = [] { return std::size_t{0}; };  // how many there are by now
  };

  // `pool` must outlive it.
  ScriptedDevice(const DevicePki& pki, DevicePool& pool, DeviceLimits limits, Hooks hooks,
                 const std::string& certificate = "device");

  std::uint16_t port() const { return tls_.port(); }
  std::size_t connections() const { return tls_.connections(); }
  int faults() const { return faults_; }
  int count(const std::string& operation) const;  // of requests
  std::string last_path() const;
  // Of the last request of this kind.
  std::string last_body(const std::string& operation) const;

 private:
  struct Request {
    std::string operation, path, body;
  };
  void serve(TlsDevice::Connection& connection);
  std::optional<Request> read_request(TlsDevice::Connection& connection, std::string& buffer);
  bool answer(TlsDevice::Connection& connection, const Request& request);
  std::string done(const Request& request, Fault fault, int& status);
  std::string keys_for(const Request& request, Fault fault, int& status);
  std::string status_text();

  DevicePool& pool_;
  const DeviceLimits limits_;
  const Hooks hooks_;
  mutable std::mutex mutex_;
  std::map<std::string, int> counts_;
  std::string last_path_;
  std::map<std::string, std::string> last_bodies_;
  std::vector<DevicePool::Key> last_keys_;
  std::size_t paired_taken_ = 0;
  std::atomic<int> faults_ = 0;
  TlsDevice tls_;
};

}  // namespace qkms::drivers
