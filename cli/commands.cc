#include "cli/commands.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/text.h"
#include "certs/dev_ca.h"
#include "cli/audit.h"
#include "cli/conformance/command.h"
#include "cli/https_client.h"
#include "cli/link.h"
#include "cli/master_key_command.h"
#include "cli/typed_secret.h"
#include "cli/verify_command.h"
#include "server/config.h"
#include "storage/store_backup.h"

namespace qkms::cli {

namespace {

constexpr int kDefaultTimeoutSeconds = 5;

Result<void> dev_pki(const Arguments& arguments) {
  const std::string folder = arguments.one("--out");
  const certs::DevPki pki{arguments.all("--kme"), arguments.all("--sae"), arguments.all("--operator"),
                          arguments.all("--host")};
  if (auto made = certs::make_dev_pki(folder, pki); !made) return made;
  fmt::print("{}: made a DEVELOPMENT PKI, good for {} days. Its CAs' keys are not protected: never use it for real.\n",
             folder, certs::kDevDays);
  return {};
}

Result<void> reference_config(const Arguments&) {
  fmt::print("{}", server::reference_config());
  return {};
}

struct OperatorAccess {
  HttpsTarget target;
  certs::TlsFiles files;
};

// Where the daemon of a configuration can be reached from this machine.
Result<HttpsTarget> target_of(const server::Config& config) {
  const auto& listener = config.operators;
  if (listener.port == 0)
    return fail(ErrorCode::kInvalid, "option 'operator.listen' has port 0, any free one: give --url as well");
  const bool is_wildcard = listener.address == "0.0.0.0" || listener.address == "::";
  return HttpsTarget{is_wildcard ? "127.0.0.1" : listener.address, listener.port};
}

Result<OperatorAccess> access_of(const Arguments& arguments) {
  OperatorAccess out{{}, {arguments.one("--cert"), arguments.one("--key"), arguments.one("--ca")}};
  if (!arguments.has("--config") && (!arguments.has("--url") || !arguments.has("--ca"))) {
    return fail(ErrorCode::kInvalid, "give --url and --ca, or --config");
  }
  Result<HttpsTarget> target = HttpsTarget();
  if (arguments.has("--config")) {
    const auto config = server::read_config(arguments.one("--config"));
    if (!config) return std::unexpected(config.error());
    if (out.files.ca.empty()) out.files.ca = config->operators.ca;
    if (!arguments.has("--url")) target = target_of(*config);
  }
  if (arguments.has("--url")) target = parse_target(arguments.one("--url"));
  if (!target) return std::unexpected(target.error());
  out.target = *target;
  return out;
}

Result<HttpsResponse> ask_daemon(const Arguments& arguments, std::string_view method, std::string_view path,
                                 const SecretBytes& typed = {}) {
  const auto access = access_of(arguments);
  if (!access) return std::unexpected(access.error());
  const auto timeout = timeout_ms(arguments, kDefaultTimeoutSeconds);
  if (!timeout) return std::unexpected(timeout.error());
  return https_ask(access->target, method, path, typed, access->files, *timeout);
}

std::unexpected<Error> not_200(const HttpsResponse& response, std::string_view path) {
  return fail(ErrorCode::kClosed, fmt::format("the daemon answered {} to {}", response.status, path));
}

// Prints the daemon's answer; anything but 200 is an error, after its text.
Result<void> report(const Result<HttpsResponse>& response, std::string_view path) {
  if (!response) return std::unexpected(response.error());
  fmt::print("{}{}", response->body, response->body.empty() || response->body.ends_with('\n') ? "" : "\n");
  if (response->status == 200) return {};
  return not_200(*response, path);
}

Result<void> ask(const Arguments& arguments, std::string_view method, std::string_view path) {
  return report(ask_daemon(arguments, method, path), path);
}

// For what may need a passphrase or a PIN: whether it does, the daemon knows. It is asked without, and answers 403 and
// what it needs.
Result<void> ask_typing(const Arguments& arguments, std::string_view method, std::string_view path) {
  constexpr int kTypeIt = 403;
  const auto response = ask_daemon(arguments, method, path);
  if (!response || response->status != kTypeIt) return report(response, path);
  const std::string_view needs(response->body);
  const auto typed = read_typed_secret(printable(needs.substr(0, needs.find('\n')), 300));
  if (!typed) return std::unexpected(typed.error());
  return report(ask_daemon(arguments, method, path, *typed), path);
}

const ArgumentSpec kOperatorArguments = {
    {{"--cert", "FILE", Given::kOnce, "Your certificate as an operator, PEM."},
     {"--key", "FILE", Given::kOnce, "Its private key, PEM, mode 0600."},
     {"--ca", "FILE", Given::kAtMostOnce, "The CA that the daemon's certificate must come from, PEM."},
     {"--url", "URL", Given::kAtMostOnce, "The daemon's operator listener: https://HOST:PORT."},
     {"--config", "FILE", Given::kAtMostOnce, "The daemon's configuration: gives --url and --ca on its own machine."},
     {"--timeout", "SECONDS", Given::kAtMostOnce, "How long to wait; 5 when not given."}},
    {}};

Result<void> audit_log(const Arguments& arguments) {
  return audit(arguments, [&](std::string_view path) -> Result<std::string> {
    auto response = ask_daemon(arguments, "GET", path);
    if (!response) return std::unexpected(response.error());
    if (response->status != 200) return not_200(*response, path);
    return std::move(response->body);
  });
}

Result<void> links(const Arguments& arguments) {
  return link(arguments.positional.front(), arguments.one("--link"),
              [&](std::string_view method, std::string_view path) -> Result<std::string> {
                auto response = ask_daemon(arguments, method, path);
                if (!response) return std::unexpected(response.error());
                if (response->status == 200) return std::move(response->body);
                return fail(ErrorCode::kClosed,
                            fmt::format("the daemon answered {}: {}", response->status, response->body));
              });
}

ArgumentSpec link_arguments() {
  ArgumentSpec spec = kOperatorArguments;
  spec.options.push_back({"--link", "NAME", Given::kAtMostOnce, "show, test: which link."});
  spec.positional = {"list|show|test"};
  return spec;
}

Result<void> accept_link(const Arguments& arguments) {
  const std::string& what = arguments.positional.front();
  if (what == "list") return {};
  if (what != "show" && what != "test") return fail(ErrorCode::kInvalid, "say list, show or test");
  if (arguments.has("--link")) return {};
  return fail(ErrorCode::kInvalid, "say which: --link NAME");
}

// The options of operator commands, but none of them required: an export in a file is verified without a daemon.
ArgumentSpec audit_arguments() {
  ArgumentSpec spec = kOperatorArguments;
  for (OptionSpec& option : spec.options) option.given = Given::kAtMostOnce;
  spec.options.push_back({"--from", "NUMBER", Given::kAtMostOnce, "export: the first record; 1 when not given."});
  spec.options.push_back({"--lines", "NUMBER", Given::kAtMostOnce, "tail: how many records; 10 when not given."});
  spec.options.push_back({"--file", "FILE", Given::kAtMostOnce, "verify: an export, instead of a daemon's log."});
  spec.positional = {"tail|export|verify"};
  return spec;
}

Result<void> restore(const Arguments& arguments) {
  const auto config = server::read_config(arguments.one("--config"));
  if (!config) return std::unexpected(config.error());
  const auto store = config->store_file();
  if (auto restored = storage::restore_store(arguments.one("--from"), store); !restored) return restored;
  fmt::print(
      "{}: restored. At its next start the KME burns the keys that are in it, and every pair starts afresh.\n"
      "The store that was there is {}.before-restore (or -2, -3, if that was taken): delete it when all is well, its "
      "keys are old too.\n",
      store.string(), store.string());
  return {};
}

Result<void> accept_audit(const Arguments& arguments) {
  if (arguments.positional.front() == "verify" && arguments.has("--file")) return {};
  if (arguments.has("--cert") && arguments.has("--key")) return {};
  return fail(ErrorCode::kInvalid, "give --cert and --key to ask a daemon, or: verify --file FILE");
}

using Asking = Result<void> (*)(const Arguments&, std::string_view method, std::string_view path);

Command operator_command(std::string_view name, std::string_view sentence, std::string_view method,
                         std::string_view path, Asking asking = ask) {
  return {name, sentence, kOperatorArguments,
          [=](const Arguments& arguments) { return asking(arguments, method, path); }};
}

}  // namespace

std::vector<Command> commands() {
  const ArgumentSpec pki = {
      {{"--out", "DIR", Given::kOnce, "A folder that is new or empty."},
       {"--kme", "ID", Given::kAnyTimes, "A KME; repeat for more."},
       {"--sae", "ID", Given::kAnyTimes, "An SAE; repeat for more."},
       {"--operator", "NAME", Given::kAnyTimes, "An operator; repeat for more."},
       {"--host", "NAME", Given::kAnyTimes, "A further DNS name or IP address of the KMEs; repeat for more."}},
      {}};
  return {
      operator_command("live", "Ask a daemon whether it runs.", "GET", "/livez"),
      operator_command("ready", "Ask a daemon whether it can hand out keys, and what hinders it.", "GET",
                       "/readyz?verbose"),
      operator_command("metrics", "Print a daemon's metrics as Prometheus reads them.", "GET", "/metrics"),
      operator_command("reload", "Have a daemon read its configuration again; on an error all stays as it was.", "POST",
                       "/reload"),
      operator_command("backup", "Have a daemon copy its store, while it runs, into its state folder.", "POST",
                       "/backup"),
      operator_command("rotate-master", "Have a daemon take the master key that its configuration names now.", "POST",
                       "/rotate-master", ask_typing),
      operator_command("seal", "Have a daemon wipe its master key from memory and hand out nothing.", "POST", "/seal"),
      operator_command("unseal", "Have a sealed daemon take its master key again and go on.", "POST", "/unseal",
                       ask_typing),
      {"restore",
       "Put a backup in the place of a stopped daemon's store; all key material in it will be burned.",
       {{{"--config", "FILE", Given::kOnce, "The daemon's configuration."},
         {"--from", "FILE", Given::kOnce, "The backup."}},
        {}},
       restore},
      {"link", "Show what a daemon knows of its links, or have it look whether a device is there.", link_arguments(),
       links, accept_link},
      {"audit", "Print a daemon's audit log, export it, or see whether it is whole.", audit_arguments(), audit_log,
       accept_audit},
      conformance::conformance_command(),
      {"dev-pki", "Make certificates for demonstrations and tests.", pki, dev_pki},
      new_master_key_command(),
      verify_command(),
      {"reference-config", "Print every option of qkmsd's configuration.", {}, reference_config},
  };
}

}  // namespace qkms::cli
