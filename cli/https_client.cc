#include "cli/https_client.h"

#include <fmt/format.h>

#include <array>

#include "api/http_text.h"
#include "cli/tls_connection.h"

namespace qkms::cli {

namespace {

Result<std::string> receive_all(TlsConnection& connection) {
  std::string out;
  std::array<std::uint8_t, 16 * 1024> part;
  while (out.size() <= kMaxResponseBytes) {
    const auto size = connection.receive(part);
    if (!size) return std::unexpected(size.error());
    if (*size == 0) return out;
    out.append(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(*size));
  }
  return fail(ErrorCode::kCorrupt, fmt::format("the server's answer is larger than {} bytes", kMaxResponseBytes));
}

}  // namespace

std::string host_header(const HttpsTarget& target) { return api::host_header(target.host, target.port); }

Result<HttpsResponse> https_ask(const HttpsTarget& target, std::string_view method, std::string_view path,
                                const SecretBytes& typed, const certs::TlsFiles& files, int timeout_ms) {
  const auto context = certs::make_client_context(files, certs::TlsMinimum::k1_3);
  if (!context) return std::unexpected(context.error());
  TlsConnection connection(target, timeout_ms);
  if (auto connected = connection.connect(); !connected) return std::unexpected(connected.error());
  if (auto secured = connection.handshake(context->get()); !secured) return std::unexpected(secured.error());
  const std::string length = method == "POST" ? fmt::format("Content-Length: {}\r\n", typed.size()) : "";
  const std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: */*\r\n{}\r\n",
                                       method, path, host_header(target), length);
  const std::string_view body(reinterpret_cast<const char*>(typed.reveal().data()), typed.size());
  for (const std::string_view part : {std::string_view(head), body}) {
    if (part.empty()) continue;
    if (auto sent = connection.send(part); !sent) return std::unexpected(sent.error());
  }
  const auto answer = receive_all(connection);
  if (!answer) return std::unexpected(answer.error());
  return parse_response(*answer);
}

}  // namespace qkms::cli
