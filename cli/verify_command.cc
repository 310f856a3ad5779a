#include "cli/verify_command.h"

#include <fmt/format.h>

#include "cli/typed_secret.h"
#include "server/config.h"
#include "storage/master_key.h"
#include "storage/verify_store.h"

namespace qkms::cli {
namespace {

void print(const storage::VerifyReport& report) {
  for (const auto& table : report.tables) {
    fmt::print("{:<12} {:>9} rows, {} of them do not open", table.name, table.rows, table.unreadable);
    if (table.destroyed > 0) fmt::print("; the keys of {} are destroyed", table.destroyed);
    fmt::print("\n");
  }
  for (const auto& found : report.discrepancies) {
    fmt::print("{}: {}\n", found.name.empty() ? "this KME's own rows" : found.name, found.why);
  }
  if (report.audit_records) {
    fmt::print("{:<12} {:>9} records, each follows the one before it\n", "audit", *report.audit_records);
  } else {
    fmt::print("{}\n", report.audit_records.error().text);
  }
  if (report.behind_keyring) fmt::print("the store is an old copy: its keyring has seen a later one\n");
  if (report.marked_as_restored)
    fmt::print("it is marked as restored: all that it holds is burned at the next start\n");
}

Result<void> verify(const Arguments& arguments) {
  const auto config = server::read_config(arguments.one("--config"));
  if (!config) return std::unexpected(config.error());
  const auto provider = storage::make_master_key_provider(config->master_key);
  if (!provider) return std::unexpected(provider.error());
  const auto typed = typed_for(**provider);
  if (!typed) return std::unexpected(typed.error());
  auto master_key = (*provider)->fetch(*typed);
  if (!master_key) return std::unexpected(master_key.error());
  const auto report = storage::verify_store(config->store_file(), config->keyring_file, std::move(*master_key));
  if (!report) return std::unexpected(report.error());
  print(*report);
  if (report->sound()) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("the store {} is not sound", config->store_file().string()));
}

}  // namespace

Command verify_command() {
  return {"verify",
          "Check the store of a daemon that does not run: every row, and that none was removed or put back.",
          {{{"--config", "FILE", Given::kOnce, "The daemon's configuration."}}, {}},
          verify};
}

}  // namespace qkms::cli
