#include "cli/conformance/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "api/percent.h"
#include "base/text.h"

namespace qkms::cli::conformance {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxShownRequest = 400;
constexpr std::chrono::milliseconds kBetweenTries{200};

std::string_view name_of(Who who) {
  constexpr std::string_view kNames[] = {"master", "slave", "second slave"};
  return kNames[static_cast<std::size_t>(who)];
}

std::string_view name_of(Disguise disguise) {
  constexpr std::string_view kNames[] = {"master", "nobody (no certificate)", "an impostor (another CA's certificate)",
                                         "master (TLS 1.1 or older)", "master (TLS 1.3)"};
  return kNames[static_cast<std::size_t>(disguise)];
}

std::string bytes_of(const HttpsTarget& target, const Request& request) {
  std::string out =
      fmt::format("{} {} {}\r\nHost: {}\r\n", request.method, request.target, request.version, host_header(target));
  if (!request.headers.empty()) {
    out += request.headers;
  } else {
    out += "Accept: application/json\r\n";
    if (request.body) out += "Content-Type: application/json\r\n";
  }
  if (request.body && !request.headers.contains("Transfer-Encoding"))
    out += fmt::format("Content-Length: {}\r\n", request.body->size());
  return out + "\r\n" + request.body.value_or("");
}

std::optional<std::int64_t> count_in(const api::JsonObject* status, std::string_view name) {
  const auto* member = status == nullptr ? nullptr : api::find_member(*status, name);
  const auto* value = member == nullptr ? nullptr : member->get<std::int64_t>();
  return value != nullptr && *value >= 0 ? std::optional(*value) : std::nullopt;
}

// The details of §6.5, where there are any: an array of objects.
bool has_good_details(const Reply& reply) {
  const auto* object = reply.json ? reply.json->get<api::JsonObject>() : nullptr;
  const auto* details = object == nullptr ? nullptr : api::find_member(*object, "details");
  if (details == nullptr) return true;
  const auto* array = details->get<api::JsonArray>();
  return array != nullptr &&
         std::ranges::all_of(*array, [](const auto& one) { return one.template get<api::JsonObject>() != nullptr; });
}

}  // namespace

bool is_json_type(std::string_view content_type) {
  constexpr std::string_view kJson = "application/json";
  std::string lower(content_type.substr(0, content_type.find(';')));
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  while (lower.ends_with(' ')) lower.pop_back();
  return lower == kJson;
}

Result<std::unique_ptr<Run>> Run::make(Participants participants) {
  std::map<Who, std::unique_ptr<Session>> sessions;
  const auto add = [&sessions](Who who, Caller caller) -> Result<void> {
    auto session = Session::make(std::move(caller));
    if (!session) return std::unexpected(session.error());
    sessions.emplace(who, std::move(*session));
    return {};
  };
  if (auto added = add(Who::kMaster, std::move(participants.master)); !added) return std::unexpected(added.error());
  if (auto added = add(Who::kSlave, std::move(participants.slave)); !added) return std::unexpected(added.error());
  if (participants.second_slave) {
    auto added = add(Who::kSecondSlave, std::move(*participants.second_slave));
    if (!added) return std::unexpected(added.error());
  }
  return std::unique_ptr<Run>(new Run(std::move(sessions)));
}

// --- the API

std::string Run::path_of(std::string_view sae, std::string_view method) const {
  return fmt::format("/api/v1/keys/{}/{}", api::percent_encode(sae), method);
}

Reply Run::exchange(Session& session, const Request& request, Carries carries) {
  Reply reply = reply_of(session.exchange(bytes_of(session.caller().kme, request)), carries);
  if (request.version == "HTTP/1.0") session.disconnect();  // the server closes, and need not say so
  if (&session != sessions_.at(Who::kMaster).get()) return reply;
  for (const Key& key : reply.got()) {
    if (request.target.contains("/enc_keys") && key.bits)
      keys_of_master_.push_back({key.id, SecretBytes::copy_of(key.bits->reveal()), {}});
  }
  return reply;
}

Reply Run::ask(Who who, const Request& request, Carries carries) {
  Reply reply = exchange(session(who), request, carries);
  note(name_of(who), request, reply);
  return reply;
}

Reply Run::ask_as(Disguise disguise, const Request& request, std::string* tls_version) {
  auto session = Session::make(sessions_.at(Who::kMaster)->caller(), disguise);
  Reply reply = session ? exchange(**session, request, Carries::kNoKeys)
                        : reply_of(std::unexpected(session.error()), Carries::kNoKeys);
  if (session && tls_version != nullptr) *tls_version = (*session)->tls_version();
  exchanges_.push_back({std::string(name_of(disguise)), request.method + " " + request.target, reply.summary()});
  return reply;
}

Reply Run::good(const Request& request) {
  Session& master = session(Who::kMaster);
  const auto deadline = Clock::now() + std::chrono::milliseconds(master.caller().timeout_ms);
  Reply reply = exchange(master, request, Carries::kKeys);
  while ((reply.status() == 503 || reply.status() == 429) && Clock::now() < deadline) {
    std::this_thread::sleep_for(kBetweenTries);
    reply = exchange(master, request, Carries::kKeys);
  }
  note(name_of(Who::kMaster), request, reply);
  return reply;
}

Reply Run::status(Who who, std::string_view sae) {
  return ask(who, {.target = path_of(sae, "status"), .body = {}}, Carries::kNoKeys);
}
Reply Run::enc_keys_get(std::string_view query) {
  return ask(Who::kMaster, {.target = enc_path() + std::string(query), .body = {}}, Carries::kKeys);
}
Reply Run::enc_keys_post(std::string_view body) {
  return ask(Who::kMaster, {"POST", enc_path(), std::string(body)}, Carries::kKeys);
}
Reply Run::good_get(std::string_view query) { return good({.target = enc_path() + std::string(query), .body = {}}); }
Reply Run::good_post(std::string_view body) { return good({"POST", enc_path(), std::string(body)}); }
Reply Run::dec_keys_get(Who who, std::string_view query) {
  return ask(who, {.target = dec_path() + std::string(query), .body = {}}, Carries::kKeys);
}
Reply Run::dec_keys_post(Who who, std::string_view body) {
  return ask(who, {"POST", dec_path(), std::string(body)}, Carries::kKeys);
}
Reply Run::fetch(Who who, const std::vector<std::string>& key_ids) { return dec_keys_post(who, key_ids_body(key_ids)); }

// --- what is known

const Reply& Run::status_reply() {
  if (!status_) status_ = status(Who::kMaster, id_of(Who::kSlave));
  return *status_;
}

const api::JsonObject* Run::status_object() {
  const Reply& reply = status_reply();
  return reply.status() == 200 && reply.json ? reply.json->get<api::JsonObject>() : nullptr;
}

const Limits& Run::limits() {
  if (!limits_) {
    const auto* status = status_object();
    limits_ = Limits{count_in(status, "key_size"),         count_in(status, "min_key_size"),
                     count_in(status, "max_key_size"),     count_in(status, "max_key_per_request"),
                     count_in(status, "max_SAE_ID_count"), count_in(status, "stored_key_count")};
  }
  return *limits_;
}

std::optional<std::int64_t> Run::other_size() {
  const Limits& known = limits();
  if (!known.key_size) return std::nullopt;
  constexpr std::int64_t kStep = 64;  // a size that is a multiple of this is one that every client may want
  for (const std::int64_t size :
       {*known.key_size + kStep, *known.key_size - kStep, *known.key_size + 8, *known.key_size - 8}) {
    if (size > 0 && size % 8 == 0 && known.max_size && known.min_size && size <= *known.max_size &&
        size >= *known.min_size)
      return size;
  }
  return std::nullopt;
}

// --- the record

void Run::note(std::string_view by, const Request& request, const Reply& reply) {
  std::string sent = request.method + " " + request.target;
  if (!request.headers.empty()) sent += fmt::format(" [{}]", printable(request.headers));
  if (request.body) sent += " " + printable(*request.body, kMaxShownRequest);
  const std::string_view type = reply.http.header("Content-Type");
  if (reply.answered())
    seen_.push_back({sent, reply.status(), reply.message() != nullptr, reply.body_bytes > 0, has_good_details(reply),
                     is_json_type(type)});
  exchanges_.push_back({std::string(by), std::move(sent), reply.summary()});
}

std::vector<Exchange> Run::take_exchanges() { return std::exchange(exchanges_, {}); }

}  // namespace qkms::cli::conformance
