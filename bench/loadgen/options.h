// The command line of qkms-loadgen.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"

namespace qkms::bench {

enum class Scenario { kStatic, kStatus, kGetKey, kGetKeyWithIds };
enum class ConnectionUse { kKeepAlive, kNewPerRequest };

struct Options {
  std::string host;
  std::string port;
  std::string certificate_file, key_file, ca_file;  // PEM; an empty ca_file leaves the server unverified
  std::string groups = "P-256";                     // TLS key exchange; one group, so that all servers do the same work

  std::uint32_t connections = 1;
  std::uint32_t threads = 1;
  ConnectionUse connection_use = ConnectionUse::kKeepAlive;

  std::optional<std::uint64_t> requests;  // whichever comes first, requests or seconds, ends the run
  double seconds = 10;
  double warmup_seconds = 1;
  std::optional<double> rate;  // requests a second, open loop; without it every connection asks again at once
  std::uint32_t timeout_ms = 10'000;

  Scenario scenario = Scenario::kStatic;
  std::string method = "GET", path = "/", body;  // kStatic
  std::string sae;                               // the other SAE, as it stands in the path
  std::uint32_t keys = 1;                        // in each request
  std::uint32_t key_bits = 256;
  std::string ids_in, ids_out;  // files of key IDs: what kGetKeyWithIds asks for, what kGetKey writes
  std::uint64_t max_ids = 8'000'000;
};

// `arguments` without the program's name.
Result<Options> parse_options(std::span<char*> arguments);
std::string usage();

}  // namespace qkms::bench
