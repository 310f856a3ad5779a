// Get key and a single key ID are asked with GET, several key IDs with POST, as ETSI GS QKD 014 V1.1.1 §5 has it.
#include "bench/loadgen/workload.h"

#include <fmt/format.h>

#include <iterator>

namespace qkms::bench {
namespace {

constexpr std::string_view kIdOpen = "{\"key_ID\":\"", kIdClose = "\"}";
constexpr std::string_view kListOpen = "{\"key_IDs\":[", kListClose = "]}";

std::string head_end_of(const Options& o) {
  const std::string_view connection = o.connection_use == ConnectionUse::kNewPerRequest ? "Connection: close\r\n" : "";
  return fmt::format("Host: {}:{}\r\nAccept: application/json\r\n{}", o.host, o.port, connection);
}

std::string fixed_request(const Options& o, std::string_view head_end) {
  switch (o.scenario) {
    case Scenario::kStatus:
      return fmt::format("GET /api/v1/keys/{}/status HTTP/1.1\r\n{}\r\n", o.sae, head_end);
    case Scenario::kGetKey:
      return fmt::format("GET /api/v1/keys/{}/enc_keys?number={}&size={} HTTP/1.1\r\n{}\r\n", o.sae, o.keys, o.key_bits,
                         head_end);
    case Scenario::kStatic:
      if (o.body.empty()) return fmt::format("{} {} HTTP/1.1\r\n{}\r\n", o.method, o.path, head_end);
      return fmt::format("{} {} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", o.method,
                         o.path, head_end, o.body.size(), o.body);
    case Scenario::kGetKeyWithIds:
      break;
  }
  return {};
}

void append(const KeyIdText& id, std::string& out) { out.append(id.data(), id.size()); }

}  // namespace

Result<Workload> Workload::create(const Options& o) {
  Workload workload;
  workload.head_end_ = head_end_of(o);
  workload.dec_keys_path_ = fmt::format("/api/v1/keys/{}/dec_keys", o.sae);
  workload.fixed_ = fixed_request(o, workload.head_end_);
  if (o.scenario == Scenario::kGetKey || o.scenario == Scenario::kGetKeyWithIds) workload.keys_in_answer_ = o.keys;
  if (o.scenario == Scenario::kGetKeyWithIds) {
    auto ids = KeyIdSource::read(o.ids_in);
    if (!ids) return std::unexpected(ids.error());
    workload.ids_ = std::make_shared<KeyIdSource>(std::move(*ids), o.keys);
    if (workload.ids_->groups() == 0) return fail(ErrorCode::kInvalid, fmt::format("{} has too few key IDs", o.ids_in));
  }
  return workload;
}

bool Workload::next(std::string& request) const {
  if (!ids_) {
    request = fixed_;
    return true;
  }
  const auto ids = ids_->next();
  if (!ids) return false;
  write_with_ids(*ids, request);
  return true;
}

void Workload::write_with_ids(std::span<const KeyIdText> ids, std::string& request) const {
  request.clear();
  auto out = std::back_inserter(request);
  if (ids.size() == 1) {
    fmt::format_to(out, "GET {}?key_ID=", dec_keys_path_);
    append(ids.front(), request);
    fmt::format_to(out, " HTTP/1.1\r\n{}\r\n", head_end_);
    return;
  }
  const std::size_t each =
      kIdOpen.size() + std::tuple_size_v<KeyIdText> + kIdClose.size() + 1;  // with a comma, but for the last
  const std::size_t body_bytes = kListOpen.size() + ids.size() * each - 1 + kListClose.size();
  fmt::format_to(out, "POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                 dec_keys_path_, head_end_, body_bytes, kListOpen);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) request += ',';
    request += kIdOpen;
    append(ids[i], request);
    request += kIdClose;
  }
  request += kListClose;
}

}  // namespace qkms::bench
