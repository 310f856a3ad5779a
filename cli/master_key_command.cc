#include "cli/master_key_command.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/typed_secret.h"
#include "storage/master_key.h"

namespace qkms::cli {
namespace {

using Scheme = storage::MasterKeySource::Scheme;

// A passphrase is chosen now, so a slip of the hand would not be noticed; a PIN is the token's to judge.
Result<SecretBytes> ask_for(Scheme scheme, const storage::MasterKeyProvider& provider) {
  if (scheme != Scheme::kPassphrase) return typed_for(provider);
  return read_new_secret(fmt::format("a new passphrase, for {}", provider.describe()));
}

std::string_view advice(Scheme scheme) {
  switch (scheme) {
    case Scheme::kPassphrase:
      return "Without it and the passphrase the store cannot be read: keep a copy, away from the store.";
    case Scheme::kPkcs11:
      return "Without the token the store cannot be read: have a second one, made as its maker says.";
    default:
      return "Without it the store cannot be read: keep a copy, away from the store.";
  }
}

Result<void> new_master_key(const Arguments& arguments) {
  auto source = storage::parse_master_key_source(arguments.positional.front());
  if (!source) return std::unexpected(source.error());
  const storage::MasterKeySource here = storage::resolved(std::move(*source), std::filesystem::current_path());
  const auto provider = storage::make_master_key_provider(here);
  if (!provider) return std::unexpected(provider.error());
  const auto typed = ask_for(here.scheme, **provider);
  if (!typed) return std::unexpected(typed.error());
  if (auto made = (*provider)->create(*typed); !made) return made;
  fmt::print("{}: made. {}\n", (*provider)->describe(), advice(here.scheme));
  return {};
}

}  // namespace

Command new_master_key_command() {
  return {"new-master-key",
          "Make the key that seals a store. KEY is as in kme.master_key: file:PATH, passphrase:PATH or pkcs11:URI.",
          {{}, {"KEY"}},
          new_master_key};
}

}  // namespace qkms::cli
