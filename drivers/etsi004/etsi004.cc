#include "drivers/etsi004/etsi004.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "drivers/etsi004/conversation.h"
#include "drivers/etsi004/twin_note.h"

namespace qkms::drivers {
namespace {

class Etsi004Driver final : public Driver {
 public:
  Etsi004Driver(LinkId link, Etsi004Settings settings) : link_(std::move(link)), settings_(std::move(settings)) {}

  Result<void> run(DriverHost& host, std::stop_token stopping) override {
    const auto waiter = Waiter::make(std::move(stopping));
    if (!waiter) return std::unexpected(waiter.error());
    Result<void> ended = etsi004::Conversation(link_, settings_, memory_, board_, host, **waiter).go();
    if (!ended && ended.error().code == ErrorCode::kClosed) return {};
    return ended;
  }

  void hear(std::string note) override {
    using Kind = etsi004::TwinNote::Kind;
    const auto heard = etsi004::decode_twin_note(note);
    if (heard && heard->kind == (settings_.end == StreamEnd::kOpens ? Kind::kAsks : Kind::kIsOpen))
      board_.put_note(heard->stream);
  }

  Result<std::string> probe() override;
  std::string_view kind() const override { return "etsi004"; }

 private:
  const LinkId link_;
  const Etsi004Settings settings_;
  etsi004::Memory memory_;
  etsi004::Board board_;
};

Result<std::string> Etsi004Driver::probe() {
  const auto waiter = Waiter::make({});
  if (!waiter) return std::unexpected(waiter.error());
  const auto connection = TlsClient::connect(settings_.tls, TlsProtocol::kUnnamed, **waiter);
  if (!connection) return std::unexpected(connection.error());
  std::string text = fmt::format("{} port {} answers with the certificate that it should have", settings_.tls.host,
                                 settings_.tls.port);
  const etsi004::Seen seen = board_.seen();
  if (seen.chunks == 0) return text + "; no chunk has come yet";
  text += fmt::format("; key stream {}: {} chunks, {} missed", to_hex(seen.stream), seen.chunks, seen.missed);
  if (seen.age_ms) text += fmt::format("; the last one was {} ms old", *seen.age_ms);
  if (seen.hops) text += fmt::format(", after {} hops", *seen.hops);
  return text;
}

}  // namespace

std::unique_ptr<Driver> make_etsi004_driver(LinkId link, Etsi004Settings settings) {
  return std::make_unique<Etsi004Driver>(std::move(link), std::move(settings));
}

}  // namespace qkms::drivers
