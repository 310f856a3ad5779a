#include "drivers/etsi004/session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace qkms::drivers::etsi004 {
namespace {

Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<Session>> Session::connect(const TlsSettings& tls, Dialect dialect, Version version,
                                                  Waiter& waiter) {
  auto connection = TlsClient::connect(tls, TlsProtocol::kUnnamed, waiter);
  if (!connection) return std::unexpected(connection.error());
  return std::unique_ptr<Session>(new Session(std::move(*connection), dialect, version));
}

Result<OpenResponse> Session::open(const OpenRequest& request, Millis limit_ms) {
  const auto payload = call(encode(dialect_, version_, request), Service::kOpenResponse, limit_ms);
  if (!payload) return std::unexpected(payload.error());
  return decode_open_response(dialect_, payload->reveal());
}

Result<GetResponse> Session::get(const GetRequest& request, Millis limit_ms) {
  const auto payload = call(encode(dialect_, version_, request), Service::kGetResponse, limit_ms);
  if (!payload) return std::unexpected(payload.error());
  return decode_get_response(dialect_, payload->reveal());
}

Result<Status> Session::close(const StreamId& stream, Millis limit_ms) {
  const auto payload = call(encode_close(version_, stream), Service::kCloseResponse, limit_ms);
  if (!payload) return std::unexpected(payload.error());
  return decode_close_response(payload->reveal());
}

Result<SecretBytes> Session::call(Bytes message, Service expected, Millis limit_ms) {
  const Millis until = now_ms() + limit_ms;
  if (auto sent = connection_->send(message, limit_ms); !sent) return std::unexpected(sent.error());
  std::array<std::uint8_t, kHeaderBytes> head;
  if (auto came = receive(head, until); !came) return std::unexpected(came.error());
  const auto header = read_header(head, version_, expected);
  if (!header) return std::unexpected(header.error());
  if (header->service == Service::kError) return fail(ErrorCode::kInvalid, "the device answers with an error message");
  SecretBytes payload(header->payload_bytes);
  if (auto came = receive(payload.reveal_mutable(), until); !came) return std::unexpected(came.error());
  return payload;
}

// All of `out`. However slowly a device sends, it has until then.
Result<void> Session::receive(std::span<std::uint8_t> out, Millis until) {
  while (!out.empty()) {
    const auto got = connection_->receive(out, std::max<Millis>(0, until - now_ms()));
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return fail(ErrorCode::kPeerUnreachable, "the device has closed the connection");
    out = out.subspan(*got);
  }
  return {};
}

}  // namespace qkms::drivers::etsi004
