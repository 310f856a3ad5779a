#include "cli/commands.h"

#include <fmt/format.h>

#include <cstdio>

#include "certs/dev_ca.h"
#include "cli/audit.h"
#include "cli/conformance/command.h"
#include "cli/https_client.h"
#include "cli/verify_command.h"
#include "server/config.h"
#include "storage/master_key.h"
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

Result<void> new_master_key(const Arguments& arguments) {
  const std::string& file = arguments.positional.front();
  if (auto made = storage::create_master_key(file); !made) return made;
  fmt::print("{}: made. Without it the store cannot be read: keep a copy, away from the store.\n", file);
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

Result<HttpsResponse> ask_daemon(const Arguments& arguments, std::string_view method, std::string_view path) {
  const auto access = access_of(arguments);
  if (!access) return std::unexpected(access.error());
  const auto timeout = timeout_ms(arguments, kDefaultTimeoutSeconds);
  if (!timeout) return std::unexpected(timeout.error());
  return https_ask(access->target, method, path, access->files, *timeout);
}

std::unexpected<Error> not_200(const HttpsResponse& response, std::string_view path) {
  return fail(ErrorCode::kClosed, fmt::format("the daemon answered {} to {}", response.status, path));
}

// Prints the daemon's answer; anything but 200 is an error, after its text.
Result<void> ask(const Arguments& arguments, std::string_view method, std::string_view path) {
  const auto response = ask_daemon(arguments, method, path);
  if (!response) return std::unexpected(response.error());
  fmt::print("{}{}", response->body, response->body.empty() || response->body.ends_with('\n') ? "" : "\n");
  if (response->status == 200) return {};
  return not_200(*response, path);
}

Result<void> audit_log(const Arguments& arguments) {
  return audit(arguments, [&](std::string_view path) -> Result<std::string> {
    auto response = ask_daemon(arguments, "GET", path);
    if (!response) return std::unexpected(response.error());
    if (response->status != 200) return not_200(*response, path);
    return std::move(response->body);
  });
}

const ArgumentSpec kOperatorArguments = {
    {{"--cert", "FILE", Given::kOnce, "Your certificate as an operator, PEM."},
     {"--key", "FILE", Given::kOnce, "Its private key, PEM, mode 0600."},
     {"--ca", "FILE", Given::kAtMostOnce, "The CA that the daemon's certificate must come from, PEM."},
     {"--url", "URL", Given::kAtMostOnce, "The daemon's operator listener: https://HOST:PORT."},
     {"--config", "FILE", Given::kAtMostOnce, "The daemon's configuration: gives --url and --ca on its own machine."},
     {"--timeout", "SECONDS", Given::kAtMostOnce, "How long to wait; 5 when not given."}},
    {}};

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

Command operator_command(std::string_view name, std::string_view sentence, std::string_view method,
                         std::string_view path) {
  return {name, sentence, kOperatorArguments,
          [method, path](const Arguments& arguments) { return ask(arguments, method, path); }};
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
      operator_command("rotate-master", "Have a daemon take the key that its master key file holds now.", "POST",
                       "/rotate-master"),
      {"restore",
       "Put a backup in the place of a stopped daemon's store; all key material in it will be burned.",
       {{{"--config", "FILE", Given::kOnce, "The daemon's configuration."},
         {"--from", "FILE", Given::kOnce, "The backup."}},
        {}},
       restore},
      {"audit", "Print a daemon's audit log, export it, or see whether it is whole.", audit_arguments(), audit_log,
       accept_audit},
      conformance::conformance_command(),
      {"dev-pki", "Make certificates for demonstrations and tests.", pki, dev_pki},
      {"new-master-key", "Make the key that seals a store.", {{}, {"FILE"}}, new_master_key},
      verify_command(),
      {"reference-config", "Print every option of qkmsd's configuration.", {}, reference_config},
  };
}

}  // namespace qkms::cli
