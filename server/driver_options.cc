#include "server/driver_options.h"

#include <algorithm>
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

}  // namespace qkms::server
