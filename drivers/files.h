// Takes key material from a folder into which a device, or somebody's script, puts files (file_formats.h).
//
// Operation: a file is taken when it was closed by its writer or moved into the folder (inotify), or when a look at the
// folder, at the start and every few seconds, finds it unchanged for settle_ms. It is first moved to the sub-folder
// `taken`, so that nobody finds it twice, then its blocks are offered in the order of the file, and then it is wiped
// (overwritten, removed) or kept in `done`. What is not of the format is moved to `refused`. Names that begin with a
// dot or end in .part or .tmp are left alone: write under such a name and rename.
//
// What would surprise: a file that was being worked on when the daemon died is worked on again at the next start; its
// blocks have the same IDs, and those that came before are refused as repeated.
//
// Limits: kMaxFileBytes a file. Files must be regular; links are not followed.
#pragma once

#include <filesystem>
#include <memory>

#include "base/time.h"
#include "drivers/driver.h"
#include "drivers/file_formats.h"

namespace qkms::drivers {

enum class AfterIngest { kWipe, kKeep };

struct FilesSettings {
  std::filesystem::path folder;
  FileFormat format = FileFormat::kRaw;
  AfterIngest after = AfterIngest::kWipe;
  std::uint32_t settle_ms = 2000;
  std::uint32_t look_ms = 5000;  // inotify misses what happens on some network file systems
  bool operator==(const FilesSettings&) const = default;
};

std::unique_ptr<Driver> make_files_driver(LinkId link, FilesSettings settings);

}  // namespace qkms::drivers
