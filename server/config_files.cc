// The checks of a configuration that look at the disk. What is refused here would also stop the daemon at its start.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "certs/identity.h"
#include "certs/pem_file.h"
#include "certs/tls_context.h"
#include "server/config.h"
#include "storage/master_key.h"

namespace qkms::server {

namespace {

namespace fs = std::filesystem;

std::unexpected<Error> refuse(const fs::path& file, std::string_view why) {
  return fail(ErrorCode::kInvalid, fmt::format("{}: {}", file.string(), why));
}

Result<void> check_listener(const ListenerConfig& listener) {
  const auto context =
      certs::make_server_context({listener.certificate, listener.key, listener.ca, listener.crl}, listener.tls_minimum);
  if (!context) return std::unexpected(context.error());
  return {};
}

// Other KMEs know us by this certificate, at either end of a connection.
Result<void> check_peer_certificate(const Config& config) {
  const fs::path& file = config.peer.certificate;
  const auto chain = certs::load_certificates(file);
  if (!chain) return {};  // check_listener has said so
  X509* leaf = chain->front().get();
  const std::uint32_t both = XKU_SSL_SERVER | XKU_SSL_CLIENT;
  const bool stated = (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0;
  if (!stated || (X509_get_extended_key_usage(leaf) & both) != both) {
    return refuse(file, "lacks an extended key usage; accepted: serverAuth and clientAuth");
  }
  const auto name = certs::name_in(leaf, config.peer.name_rule);
  if (!name) return refuse(file, name.error().text);
  if (*name == config.id.str()) return {};
  return refuse(file, fmt::format("names \"{}\"; accepted: kme.id, which is \"{}\"", *name, config.id.str()));
}

Result<void> check_device(const drivers::TlsSettings& tls) {
  const auto context = certs::make_client_context({tls.certificate, tls.key, tls.ca, tls.crl}, tls.minimum);
  if (!context) return std::unexpected(context.error());
  return {};
}

Result<void> check_links(const std::vector<LinkConfig>& links) {
  for (const LinkConfig& link : links) {
    const drivers::TlsSettings* tls = link.driver == "etsi014"   ? &link.etsi014.tls
                                      : link.driver == "etsi004" ? &link.etsi004.tls
                                                                 : nullptr;
    if (tls == nullptr) continue;
    if (auto checked = check_device(*tls); !checked) return checked;
  }
  return {};
}

Result<void> check_state_dir(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) {  // the daemon makes it, but not its parents
    const fs::path parent = folder.has_filename() ? folder.parent_path() : folder.parent_path().parent_path();
    if (fs::is_directory(parent, error)) return check_state_dir(parent);
    return refuse(folder, "no such folder, and the one above it is not there either");
  }
  if (status.type() != fs::file_type::directory) return refuse(folder, "not a folder");
  if (access(folder.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  return refuse(folder, errno == EROFS ? "its file system is read-only" : "this user may not write there");
}

Result<void> check_master_key(const storage::MasterKeySource& source) {
  const auto provider = storage::make_master_key_provider(source);
  if (!provider) return std::unexpected(provider.error());
  return (*provider)->check();
}

}  // namespace

Result<void> check_files(const Config& config) {
  const Result<void> checks[] = {
      check_state_dir(config.state_dir), check_master_key(config.master_key), check_listener(config.sae),
      check_listener(config.peer),       check_peer_certificate(config),      check_listener(config.operators),
      check_links(config.links),
  };
  std::string problems;
  for (const auto& check : checks) {
    if (check) continue;
    problems += (problems.empty() ? "" : "\n") + check.error().text;
  }
  if (!problems.empty()) return fail(ErrorCode::kInvalid, problems);
  return {};
}

}  // namespace qkms::server
