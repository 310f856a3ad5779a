#include "server/driver_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace qkms::server {

namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kUint32Max = 0xffff'ffff;
constexpr Bounds kBitsPerSecond{0, kUint32Max, "bits a second"};
constexpr std::size_t kMaxUriBytes = 1024;

const Choices<certs::TlsMinimum> kTlsVersions = {{"1.2", certs::TlsMinimum::k1_2}, {"1.3", certs::TlsMinimum::k1_3}};
const Choices<drivers::etsi004::Dialect> kDialects = {{"etsi-c", drivers::etsi004::Dialect::kEtsiC},
                                                      {"fixed-mime", drivers::etsi004::Dialect::kFixedMime}};

// Printable ASCII without blanks: it ends with a NUL on the wire, and an application's name is a URI.
Option uri(std::string_view name, std::string& target, std::string_view example, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    const auto fits = [](char c) { return c > ' ' && c <= '~'; };
    if (given == nullptr || given->empty() || given->size() > kMaxUriBytes || !std::ranges::all_of(*given, fits))
      return false;
    target = *given;
    return true;
  };
  return {std::string(name),     fmt::format("1 to {} characters of printable ASCII without blanks", kMaxUriBytes),
          Need::kRequired,       fmt::format("\"{}\"", example),
          std::string(sentence), set};
}

Option key_stream(std::optional<drivers::etsi004::StreamId>& target) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    const auto id = parse_uuid(given != nullptr ? *given : "");
    if (!id || *id == drivers::etsi004::StreamId{}) return false;
    target = *id;
    return true;
  };
  return {
      "key_stream_id",
      "a UUID that is not all zero",
      Need::kOptional,
      "\"6c1f0b52-93d4-4c7e-a8f1-20b7c3d4e5f6\"",
      "Key_stream_ID, the same at both ends. Without it the device gives one to the end with the lower KME ID, which "
      "tells the other.",
      set};
}

Option wire_version(drivers::etsi004::Version& target) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return false;
    drivers::etsi004::Version version{};
    const char* at = given->data();
    const char* const end = at + given->size();
    for (std::size_t i = 0; i < version.size(); ++i) {
      if (i > 0 && (at == end || *at++ != '.')) return false;
      const auto [next, error] = std::from_chars(at, end, version[i]);
      if (error != std::errc() || next == at) return false;
      at = next;
    }
    if (at != end) return false;
    target = version;
    return true;
  };
  return {"version",
          "three numbers from 0 to 255, as 1.0.1",
          Need::kDefault,
          fmt::format("\"{}.{}.{}\"", target[0], target[1], target[2]),
          "What each message's header says; the device's first number must be the same.",
          set};
}

Option flag(std::string_view name, bool& target, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<bool>(&value);
    if (given != nullptr) target = *given;
    return given != nullptr;
  };
  return {std::string(name), "true or false", Need::kDefault, target ? "true" : "false", std::string(sentence), set};
}

}  // namespace

std::vector<Option> device_tls_options(drivers::TlsSettings& to) {
  Option server_name = text("server_name", to.server_name, "qkd-device.example",
                            "What the device's certificate names. Without it: host.");
  server_name.need = Need::kOptional;
  return {
      text("host", to.host, "qkd-device.example", "The device's host name or IP address."),
      integer("port", to.port, {1, 65'535}, "Where it listens."),
      std::move(server_name),
      path("certificate", to.certificate, "/etc/qkms/device-client.crt",
           "PEM file: the certificate that this KME shows to the device, then those that lead to its CA."),
      path("key", to.key, "/etc/qkms/device-client.key",
           "PEM file: the certificate's private key, readable by its owner alone."),
      path("ca", to.ca, "/etc/qkms/device-ca.crt", "PEM file: the CAs that the device's certificate must come from."),
      optional_path("crl", to.crl, "/etc/qkms/device-crl.pem",
                    "PEM file: revocation lists. With it every CA of the device's chain must have a current one."),
      choice("tls_minimum", to.minimum, kTlsVersions, "The oldest version of TLS that is spoken with the device."),
      integer("connect_ms", to.connect_ms, {10, kHourMs, "milliseconds"}, "Deadline for a connection."),
      integer("handshake_ms", to.handshake_ms, {10, kHourMs, "milliseconds"}, "Deadline of a TLS handshake."),
  };
}

std::vector<Option> etsi004_options(drivers::Etsi004Settings& to) {
  constexpr std::int64_t kLongestTimeoutMs = 60'000;
  auto options = device_tls_options(to.tls);
  std::vector<Option> own = {
      choice("dialect", to.dialect, kDialects, "How messages are encoded, which the standard leaves open."),
      wire_version(to.version),
      uri("source", to.source, "qkd://kme-a.example/qkms",
          "The URI of the application at this end, as the device knows it."),
      uri("destination", to.destination, "qkd://kme-b.example/qkms", "The URI of the application at the other end."),
      key_stream(to.stream),
      integer("chunk_bytes", to.qos.chunk_bytes,
              {1, static_cast<std::int64_t>(drivers::etsi004::kMaxChunkBytes), "bytes"},
              "Key_chunk_size that is asked for. Chunks below 64 bytes are put together."),
      integer("max_bps", to.qos.max_bps, kBitsPerSecond, "Max_bps that is asked for."),
      integer("min_bps", to.qos.min_bps, kBitsPerSecond, "Min_bps that is asked for."),
      integer("least_bps", to.least_bps, kBitsPerSecond,
              "A device that cannot give min_bps may offer a smaller Min_bps, down to this."),
      integer("jitter_bps", to.qos.jitter_bps, kBitsPerSecond, "Jitter that is asked for."),
      integer("priority", to.qos.priority, {0, kUint32Max}, "Priority that is asked for."),
      integer("timeout_ms", to.qos.timeout_ms, {0, kLongestTimeoutMs, "milliseconds"},
              "Timeout that is asked for: how long the device may take to give a chunk."),
      integer("ttl_s", to.qos.ttl_s, {0, kUint32Max, "seconds"}, "TTL that is asked for."),
      integer("poll_ms", to.poll_ms, {10, kHourMs, "milliseconds"},
              "The longest pause before the device is asked again for what it did not have."),
      integer("answer_ms", to.answer_ms, {10, kHourMs, "milliseconds"},
              "Deadline of an answer, beyond timeout_ms where that counts."),
      flag("direct", to.direct, "Whether keys that came over other nodes, as the device says, are an alarm."),
  };
  std::ranges::move(own, std::back_inserter(options));
  return options;
}

}  // namespace qkms::server
