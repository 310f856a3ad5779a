#include "server/driver_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>

namespace qkms::server {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr Bounds kDeadline{10, kHourMs, "milliseconds"};
constexpr std::int64_t kMaxBlockBits = std::int64_t{drivers::kMaxBlockBytes} * 8;

const Choices<TlsMinimum> kTlsVersions = {{"1.2", TlsMinimum::k1_2}, {"1.3", TlsMinimum::k1_3}};
const Choices<drivers::Etsi014Mode> kModes = {{"pull", drivers::Etsi014Mode::kPull},
                                              {"paired", drivers::Etsi014Mode::kPaired}};
const Choices<std::optional<drivers::Etsi014End>> kLeads = {{"lower-id", std::nullopt},
                                                            {"this-end", drivers::Etsi014End::kLeads},
                                                            {"other-end", drivers::Etsi014End::kFollows}};

constexpr std::int64_t kUint32Max = 0xffff'ffff;
constexpr Bounds kBitsPerSecond{0, kUint32Max, "bits a second"};
constexpr std::size_t kMaxUriBytes = 1024;
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
  Option name = text("server_name", to.server_name, "qkd-1.example",
                     "What the device's certificate must be good for, when that is not the host.");
  name.need = Need::kOptional;
  return {
      path("certificate", to.certificate, "/etc/qkms/link-ab.crt",
           "PEM file: our certificate towards the device, then those that lead to its CA."),
      path("key", to.key, "/etc/qkms/link-ab.key",
           "PEM file: the certificate's private key, readable by its owner alone."),
      path("ca", to.ca, "/etc/qkms/link-ab-ca.crt", "PEM file: the CAs that the device's certificate must come from."),
      optional_path("crl", to.crl, "/etc/qkms/link-ab-crl.pem",
                    "PEM file: revocation lists. With it every CA of the device's chain must have a current one."),
      std::move(name),
      choice("tls_minimum", to.minimum, kTlsVersions, "The oldest TLS version to speak with the device."),
      integer("connect_ms", to.connect_ms, kDeadline, "Deadline for a connection to the device."),
      integer("handshake_ms", to.handshake_ms, kDeadline, "Deadline of a TLS handshake."),
  };
}

std::vector<Option> etsi014_options(LinkConfig& to) {
  drivers::Etsi014Settings& settings = to.etsi014;
  std::vector<Option> options = {
      https_url("url", settings.tls.host, settings.tls.port, settings.path_prefix, "https://qkd-1.example:8443",
                "Where the device's API is: what stands before /api/v1."),
      identifier("twin_sae", settings.twin, "KME-B", "The SAE ID that the device has for the KME at the other end."),
      choice("mode", settings.mode, kModes,
             "One end gets keys and the other fetches the same by their IDs, or the devices have paired them already."),
      choice("leads", to.etsi014_leads, kLeads,
             "The end that gets keys, or groups small ones: that of the lower KME ID, or as said; both must say the "
             "same."),
      integer("key_size_bits", settings.key_size_bits, {0, kMaxBlockBits, "bits", 8},
              "Size of the keys to ask for; 0 is the largest that the device offers."),
      integer("block_bytes", settings.block_bytes,
              {std::int64_t{drivers::kMinBlockBytes}, std::int64_t{drivers::kMaxBlockBytes}, "bytes"},
              "Keys are put together to blocks of about this size, or of what comes within a second."),
      integer("poll_ms", settings.poll_ms, kDeadline, "A device that has no key is asked again at least so often."),
      integer("answer_ms", settings.answer_ms, kDeadline,
              "Deadline of an answer; a key that it would have had is lost."),
      integer("fetch_ms", settings.fetch_ms, {0, kHourMs, "milliseconds"},
              "A device that does not have the other end's keys yet is asked for so long."),
      integer("max_pending_bytes", settings.max_pending_bytes, {64, std::int64_t{1} << 30, "bytes"},
              "Mode \"paired\", small keys: what waits for the other end to group it; the oldest go."),
  };
  std::ranges::move(device_tls_options(settings.tls), std::back_inserter(options));
  return options;
}

std::vector<Option> etsi004_options(drivers::Etsi004Settings& to) {
  constexpr std::int64_t kLongestTimeoutMs = 60'000;
  std::vector<Option> options = {
      text("host", to.tls.host, "qkd-device.example", "The device's host name or IP address."),
      integer("port", to.tls.port, {1, 65'535}, "Where it listens."),
  };
  std::ranges::move(device_tls_options(to.tls), std::back_inserter(options));
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
