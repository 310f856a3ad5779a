#include "drivers/etsi014/etsi014.h"

#include <fmt/format.h>

#include "drivers/etsi014/fetcher.h"
#include "drivers/etsi014/getter.h"

namespace qkms::drivers {
namespace {

using namespace etsi014;

std::string sentence_of(const DeviceStatus& status) {
  std::string text = fmt::format("the device offers keys of {} to {} bits, {} at a time", status.min_key_size_bits,
                                 status.max_key_size_bits, status.max_key_per_request);
  if (status.stored_key_count)
    text += fmt::format("; {} of {} bits wait", *status.stored_key_count, status.key_size_bits);
  if (!status.oddity.empty()) text += "; " + status.oddity;
  return text;
}

class Etsi014Driver final : public Driver {
 public:
  explicit Etsi014Driver(Etsi014Settings settings)
      : settings_(std::move(settings)), kept_(settings_.max_pending_bytes) {}

  Result<void> run(DriverHost& host, std::stop_token stopping) override {
    const auto waiter = Waiter::make(std::move(stopping));
    if (!waiter) return std::unexpected(waiter.error());
    Device device(settings_, **waiter);
    const Context context{settings_, device, host, **waiter, inbox_, seen_, kept_};
    if (settings_.mode == Etsi014Mode::kPull && settings_.end == Etsi014End::kFollows) return Fetcher(context).run();
    return Getter(context).run();
  }

  void hear(std::string note) override { inbox_.put(std::move(note)); }

  Result<std::string> probe() override {
    const auto waiter = Waiter::make({});
    if (!waiter) return std::unexpected(waiter.error());
    const auto status = Device(settings_, **waiter).status();
    if (!status) return std::unexpected(status.error().error);
    return sentence_of(*status);
  }

  std::string_view kind() const override { return "etsi014"; }

 private:
  const Etsi014Settings settings_;
  NoteInbox inbox_;
  // Of all runs; touched by run() alone.
  RecentIds seen_;
  KeptKeys kept_;
};

}  // namespace

std::unique_ptr<Driver> make_etsi014_driver(Etsi014Settings settings) {
  return std::make_unique<Etsi014Driver>(std::move(settings));
}

}  // namespace qkms::drivers
