// For tests: a folder of its own that goes away with everything in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace qkms::storage {

class ScratchFolder {
 public:
  // In `parent`; by itself where TMPDIR says.
  explicit ScratchFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "qkms-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Where thousands of small stores are made fast: in memory, unless TMPDIR says where.
inline std::filesystem::path fast_disk() {
  const std::filesystem::path memory = "/dev/shm";
  const bool said = std::getenv("TMPDIR") != nullptr;
  return !said && std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

}  // namespace qkms::storage
