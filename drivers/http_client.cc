#include "drivers/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "api/http_text.h"

namespace qkms::drivers {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;  // a TLS record

Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::string request_text(const TlsSettings& settings, std::string_view method, std::string_view target,
                         std::string_view json) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n", method, target,
                                 api::host_header(settings.host, settings.port));
  if (!json.empty()) text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", json.size());
  return text.append("\r\n").append(json);
}

}  // namespace

std::expected<api::HttpAnswer, HttpFailure> HttpClient::exchange(std::string_view method, std::string_view target,
                                                                 std::string_view json) {
  if (connection_ != nullptr && !connection_->is_idle()) connection_.reset();
  if (connection_ == nullptr) {
    auto connected = TlsClient::connect(settings_, TlsProtocol::kHttp, waiter_);
    if (!connected) return std::unexpected(HttpFailure{Reached::kNo, connected.error()});
    connection_ = std::move(*connected);
  }
  const std::string text = request_text(settings_, method, target, json);
  const auto sent = connection_->send({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, answer_ms_);
  auto answer = sent ? receive() : Result<api::HttpAnswer>(std::unexpected(sent.error()));
  if (!answer || !answer->keeps_connection) connection_.reset();
  if (!answer) return std::unexpected(HttpFailure{Reached::kMaybe, answer.error()});
  return std::move(*answer);
}

Result<api::HttpAnswer> HttpClient::receive() {
  const Millis until = now_ms() + answer_ms_;
  api::SecretBuffer received;
  for (;;) {
    const Millis left = until - now_ms();
    if (left <= 0) return fail(ErrorCode::kPeerUnreachable, "the device's answer takes too long");
    const auto size = connection_->receive(received.room(kReadBytes), left);
    if (!size) return std::unexpected(size.error());
    received.grow(*size);
    auto answer = api::read_answer(received, *size > 0 ? api::Stream::kOpen : api::Stream::kClosed);
    if (!answer) return std::unexpected(answer.error());
    if (!*answer) continue;
    if ((*answer)->bytes != received.size()) (*answer)->keeps_connection = false;  // more than was asked for
    return std::move(**answer);
  }
}

}  // namespace qkms::drivers
