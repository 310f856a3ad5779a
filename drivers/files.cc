#include "drivers/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/text.h"
#include "drivers/waiter.h"

namespace qkms::drivers {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSubFolders = {"taken", "done", "refused"};

std::unexpected<Error> failure(std::string_view what, const fs::path& path) {
  return fail(ErrorCode::kIo, fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(errno)));
}

bool is_left_alone(std::string_view name) {
  return name.empty() || name.front() == '.' || name.ends_with(".part") || name.ends_with(".tmp");
}

Result<SecretBytes> read_whole(const FileDescriptor& file, std::size_t size, const fs::path& path) {
  SecretBytes content(size);
  for (std::size_t have = 0; have < size;) {
    const ssize_t got = ::read(file.get(), content.reveal_mutable().data() + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure("cannot read", path);
    if (got == 0) return fail(ErrorCode::kInvalid, "it became shorter while it was read");
    have += static_cast<std::size_t>(got);
  }
  return content;
}

// kInvalid: it is no file for us.
Result<SecretBytes> read_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open() && errno == ELOOP) return fail(ErrorCode::kInvalid, "it is a symbolic link");
  if (!file.is_open()) return failure("cannot open", path);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return failure("cannot examine", path);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kInvalid, "it is not a regular file");
  if (static_cast<std::uint64_t>(status.st_size) > kMaxFileBytes)
    return fail(ErrorCode::kInvalid, fmt::format("it has more than {} bytes", kMaxFileBytes));
  return read_whole(file, static_cast<std::size_t>(status.st_size), path);
}

// Zeroes over all of it, then away with it. On a copy-on-write or flash medium old contents may stay: docs/drivers.md.
Result<void> wipe_file(const fs::path& path, std::size_t size) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.is_open()) return failure("cannot wipe", path);
  constexpr std::array<char, 65536> kZeroes{};
  for (std::size_t left = size; left > 0;) {
    const ssize_t wrote = ::write(file.get(), kZeroes.data(), std::min(left, kZeroes.size()));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return failure("cannot wipe", path);
    left -= static_cast<std::size_t>(wrote);
  }
  if (::fdatasync(file.get()) != 0 || ::unlink(path.c_str()) != 0) return failure("cannot wipe", path);
  return {};
}

class FilesDriver final : public Driver {
 public:
  FilesDriver(LinkId link, FilesSettings settings) : link_(std::move(link)), settings_(std::move(settings)) {}

  Result<void> run(DriverHost& host, std::stop_token stopping) override;
  Result<std::string> probe() override;
  std::string_view kind() const override { return "files"; }

 private:
  fs::path in(std::string_view sub_folder, std::string_view name) const { return settings_.folder / sub_folder / name; }
  Result<void> make_sub_folders() const;
  Result<FileDescriptor> watch_folder() const;
  Result<std::vector<std::string>> names_in(const fs::path& folder) const;
  bool has_settled(const std::string& name) const;
  Result<void> look(DriverHost& host);
  Result<void> take_announced(const FileDescriptor& watch, DriverHost& host);
  Result<void> take(const std::string& name, DriverHost& host);
  Result<void> work_on(const std::string& name, DriverHost& host);
  Result<void> refuse(const std::string& name, const std::string& why, DriverHost& host);

  const LinkId link_;
  const FilesSettings settings_;
};

Result<void> FilesDriver::make_sub_folders() const {
  for (const char* sub_folder : kSubFolders) {
    const fs::path path = settings_.folder / sub_folder;
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failure("cannot make", path);
  }
  return {};
}

Result<FileDescriptor> FilesDriver::watch_folder() const {
  FileDescriptor watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch.is_open()) return failure("cannot watch", settings_.folder);
  const std::uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (::inotify_add_watch(watch.get(), settings_.folder.c_str(), events) < 0)
    return failure("cannot watch", settings_.folder);
  return watch;
}

Result<std::vector<std::string>> FilesDriver::names_in(const fs::path& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (std::string name = at->path().filename().string(); !is_left_alone(name) && !at->is_directory(error))
      names.push_back(std::move(name));
  }
  if (error) return fail(ErrorCode::kIo, fmt::format("cannot look into {}: {}", folder.string(), error.message()));
  std::ranges::sort(names);
  return names;
}

Result<void> FilesDriver::run(DriverHost& host, std::stop_token stopping) {
  const auto waiter = Waiter::make(stopping);
  if (!waiter) return std::unexpected(waiter.error());
  if (auto made = make_sub_folders(); !made) return made;
  const auto watch = watch_folder();
  if (!watch) return std::unexpected(watch.error());
  const auto left_over = names_in(settings_.folder / "taken");
  if (!left_over) return std::unexpected(left_over.error());
  host.report({});
  for (const std::string& name : *left_over) {
    if (auto done = work_on(name, host); !done) return done;
  }
  for (;;) {
    if (auto done = look(host); !done) return done;
    switch ((*waiter)->wait(watch->get(), POLLIN, settings_.look_ms)) {
      case Waiter::Woken::kStop:
        return {};
      case Waiter::Woken::kTime:
        break;
      case Waiter::Woken::kReady:
        if (auto done = take_announced(*watch, host); !done) return done;
        break;
    }
    wipe_traces();
  }
}

bool FilesDriver::has_settled(const std::string& name) const {
  struct stat status{};
  struct timespec now{};
  if (::lstat((settings_.folder / name).c_str(), &status) != 0 || ::clock_gettime(CLOCK_REALTIME, &now) != 0)
    return false;
  const Millis age = (now.tv_sec - status.st_mtim.tv_sec) * 1000 + (now.tv_nsec - status.st_mtim.tv_nsec) / 1'000'000;
  return age >= static_cast<Millis>(settings_.settle_ms);
}

Result<void> FilesDriver::look(DriverHost& host) {
  const auto names = names_in(settings_.folder);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!has_settled(name)) continue;
    if (auto done = take(name, host); !done) return done;
  }
  return {};
}

Result<void> FilesDriver::take_announced(const FileDescriptor& watch, DriverHost& host) {
  alignas(inotify_event) std::array<char, 16384> buffer;
  const ssize_t size = ::read(watch.get(), buffer.data(), buffer.size());
  if (size < 0) return errno == EAGAIN || errno == EINTR ? Result<void>() : failure("cannot watch", settings_.folder);
  for (ssize_t at = 0; at < size;) {
    inotify_event event;
    std::memcpy(&event, buffer.data() + at, sizeof event);
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0)
      return fail(ErrorCode::kIo, fmt::format("the folder {} is gone", settings_.folder.string()));
    const std::string name = event.len > 0 ? std::string(buffer.data() + at + sizeof event) : std::string();
    if (!is_left_alone(name) && (event.mask & IN_ISDIR) == 0) {
      if (auto done = take(name, host); !done) return done;
    }
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
  return {};
}

Result<void> FilesDriver::take(const std::string& name, DriverHost& host) {
  // Not over one that is there: it would be a file that is worked on, with the same name.
  if (::renameat2(AT_FDCWD, (settings_.folder / name).c_str(), AT_FDCWD, in("taken", name).c_str(), RENAME_NOREPLACE) !=
      0) {
    if (errno == ENOENT) return {};  // announced twice, or taken away again
    return failure("cannot take", settings_.folder / name);
  }
  return work_on(name, host);
}

Result<void> FilesDriver::work_on(const std::string& name, DriverHost& host) {
  const fs::path path = in("taken", name);
  const auto content = read_file(path);
  if (!content && content.error().code != ErrorCode::kInvalid) return std::unexpected(content.error());
  if (!content) return refuse(name, content.error().text, host);
  auto blocks = blocks_of_file(settings_.format, link_, name, *content);
  if (!blocks) return refuse(name, blocks.error().text, host);
  for (Block& block : *blocks) {
    const Result<void> taken = host.offer(std::move(block));
    if (!taken && taken.error().code == ErrorCode::kClosed) return {};  // the next start goes on with this file
  }
  if (settings_.after == AfterIngest::kWipe) return wipe_file(path, content->size());
  if (::rename(path.c_str(), in("done", name).c_str()) != 0) return failure("cannot keep", path);
  return {};
}

Result<void> FilesDriver::refuse(const std::string& name, const std::string& why, DriverHost& host) {
  host.reject(fmt::format("{}: {}", printable(name), why));
  if (::rename(in("taken", name).c_str(), in("refused", name).c_str()) != 0)
    return failure("cannot put aside", in("taken", name));
  return {};
}

Result<std::string> FilesDriver::probe() {
  const auto names = names_in(settings_.folder);
  if (!names) return std::unexpected(names.error());
  if (::access(settings_.folder.c_str(), R_OK | W_OK | X_OK) != 0) return failure("no access to", settings_.folder);
  return fmt::format("the folder {} is there; {} files wait in it", settings_.folder.string(), names->size());
}

}  // namespace

std::unique_ptr<Driver> make_files_driver(LinkId link, FilesSettings settings) {
  return std::make_unique<FilesDriver>(std::move(link), std::move(settings));
}

}  // namespace qkms::drivers
