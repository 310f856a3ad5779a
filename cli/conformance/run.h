// What the checks of one run share: the SAEs, what Get status said, the keys that came, and the record of what was sent
// and what came back. Helpers that speak the API are here too, so that a check is a few lines.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "cli/conformance/check.h"
#include "cli/conformance/reply.h"
#include "cli/conformance/session.h"

namespace qkms::cli::conformance {

enum class Who { kMaster, kSlave, kSecondSlave };

// One line of the record. Never holds a key bit.
struct Exchange {
  std::string by, sent, came;
};

struct Participants {
  Caller master, slave;
  std::optional<Caller> second_slave;
};

struct Request {
  std::string method = "GET";
  std::string target;               // in origin form
  std::optional<std::string> body;  // with Content-Length
  std::string headers = "";         // further ones, each with its CRLF; they replace the usual Accept and Content-Type
  std::string version = "HTTP/1.1";
};

// The limits of Get status; each is absent when Get status did not give it as an integer of at least 0.
struct Limits {
  std::optional<std::int64_t> key_size, min_size, max_size, per_request, additional, stored;
};

class Run {
 public:
  // The most keys that a run takes, at any KME.
  static constexpr std::int64_t kMaxKeys = 256;

  static Result<std::unique_ptr<Run>> make(Participants participants);

  // --- the API
  Reply status(Who who, std::string_view sae);
  // By the master for the slave; the query is "" or starts with its question mark.
  Reply enc_keys_get(std::string_view query);
  Reply enc_keys_post(std::string_view body);
  // The same for requests that are to succeed: asked again while the answer is 503 or 429, since a device may be slow,
  // until the timeout has passed.
  Reply good_get(std::string_view query);
  Reply good_post(std::string_view body);
  Reply get_keys(int number) { return good_post(R"({"number":)" + std::to_string(number) + "}"); }
  Reply dec_keys_get(Who who, std::string_view query);  // for keys of the master
  Reply dec_keys_post(Who who, std::string_view body);
  Reply fetch(Who who, const std::vector<std::string>& key_ids);  // by POST
  // Anything else; `carries` says whether a 200 would hold keys.
  Reply ask(Who who, const Request& request, Carries carries);
  Reply ask_as(Disguise disguise, const Request& request, std::string* tls_version = nullptr);

  // --- what is known
  Session& session(Who who) { return *sessions_.at(who); }
  bool has_second_slave() const { return sessions_.contains(Who::kSecondSlave); }
  const std::string& id_of(Who who) { return session(who).caller().name; }
  std::string path_of(std::string_view sae, std::string_view method) const;
  std::string enc_path() { return path_of(id_of(Who::kSlave), "enc_keys"); }
  std::string dec_path() { return path_of(id_of(Who::kMaster), "dec_keys"); }
  // The Status object that the master got for the slave, asked for once; null when there is none.
  const api::JsonObject* status_object();
  const Reply& status_reply();
  const Limits& limits();
  bool may_ask_for(int number) { return limits().per_request.value_or(1) >= number; }
  // A size other than the default that the KME must accept; nothing when it has only one.
  std::optional<std::int64_t> other_size();

  // --- the record
  std::vector<Exchange> take_exchanges();
  // All keys that the master got in the run, apart from those that were fetched.
  const std::vector<Key>& keys_of_master() const { return keys_of_master_; }
  // What every answer of the three methods was like, for the checks that look at the whole run.
  struct Seen {
    std::string sent;
    int status;
    bool has_message, has_body, has_good_details, is_json_type;
  };
  const std::vector<Seen>& seen() const { return seen_; }

 private:
  explicit Run(std::map<Who, std::unique_ptr<Session>> sessions) : sessions_(std::move(sessions)) {}
  Reply exchange(Session& session, const Request& request, Carries carries);
  Reply good(const Request& request);
  void note(std::string_view by, const Request& request, const Reply& reply);

  std::map<Who, std::unique_ptr<Session>> sessions_;
  std::optional<Reply> status_;
  std::optional<Limits> limits_;
  std::vector<Exchange> exchanges_;
  std::vector<Key> keys_of_master_;
  std::vector<Seen> seen_;
};

// Whether a Content-Type is JSON's, whatever its parameters.
bool is_json_type(std::string_view content_type);

}  // namespace qkms::cli::conformance
