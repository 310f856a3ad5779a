// Which master key, as the configuration says it: a scheme and what it means by the rest. Text only; nothing is opened.
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace qkms::storage {

struct MasterKeySource {
  enum class Scheme { kFile, kCredential, kPassphrase, kPkcs11 };

  Scheme scheme = Scheme::kFile;
  std::string place;  // a path, a credential's name, or what follows "pkcs11:" in a URI; empty: no key is named

  bool operator==(const MasterKeySource&) const = default;
};

inline constexpr std::array<std::pair<std::string_view, MasterKeySource::Scheme>, 4> kMasterKeySchemes = {{
    {"file:", MasterKeySource::Scheme::kFile},
    {"credential:", MasterKeySource::Scheme::kCredential},
    {"passphrase:", MasterKeySource::Scheme::kPassphrase},
    {"pkcs11:", MasterKeySource::Scheme::kPkcs11},
}};
inline constexpr std::string_view kMasterKeyAccepted =
    "file:PATH, credential:NAME, passphrase:PATH, or pkcs11:URI (RFC 7512)";

// "file:/etc/qkms/master.key". kInvalid: no scheme of ours, nothing behind it, or a character that no text has.
inline Result<MasterKeySource> parse_master_key_source(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  for (const auto& [prefix, scheme] : kMasterKeySchemes) {
    if (!text.starts_with(prefix)) continue;
    const std::string_view place = text.substr(prefix.size());
    if (place.empty() || place.size() > 4096 || std::ranges::any_of(place, is_control)) break;
    return MasterKeySource{scheme, std::string(place)};
  }
  return fail(ErrorCode::kInvalid, "accepted: " + std::string(kMasterKeyAccepted));
}

inline std::string text_of(const MasterKeySource& source) {
  const auto* known = std::ranges::find(kMasterKeySchemes, source.scheme, [](const auto& one) { return one.second; });
  return std::string(known->first) + source.place;
}

// A relative path starts at `folder`. The paths within a pkcs11: URI must be absolute, and stay as they are.
inline MasterKeySource resolved(MasterKeySource source, const std::filesystem::path& folder) {
  const bool is_path =
      source.scheme == MasterKeySource::Scheme::kFile || source.scheme == MasterKeySource::Scheme::kPassphrase;
  if (is_path && !source.place.empty()) source.place = (folder / source.place).lexically_normal().string();
  return source;
}

}  // namespace qkms::storage
