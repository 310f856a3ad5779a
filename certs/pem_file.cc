#include "certs/pem_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qkms::certs {

namespace {

enum class Privacy { kPublic, kPrivate };

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::unexpected<Error> refuse(const std::filesystem::path& file, std::string_view why,
                              ErrorCode code = ErrorCode::kInvalid) {
  return fail(code, fmt::format("{}: {}", file.string(), why));
}

std::unexpected<Error> refuse_for_errno(const std::filesystem::path& file, std::string_view doing) {
  const int error = errno;
  return refuse(file, fmt::format("{}: {}", doing, std::strerror(error)),
                error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo);
}

Result<void> check_status(const std::filesystem::path& file, const struct stat& status, Privacy privacy,
                          std::size_t max_bytes) {
  if (!S_ISREG(status.st_mode)) return refuse(file, "not a regular file");
  if (status.st_size == 0) return refuse(file, "empty");
  if (status.st_size > static_cast<off_t>(max_bytes))
    return refuse(file, fmt::format("larger than {} bytes", max_bytes));
  if (status.st_uid != geteuid() && status.st_uid != 0)
    return refuse(file, "belongs to another user; accepted: this user or root");
  const mode_t mode = status.st_mode & 07777;
  if (privacy == Privacy::kPrivate && (mode & 077) != 0) {
    return refuse(file,
                  fmt::format("has mode {:04o}, so others than its owner may use it; accepted: 0600 or 0400", mode));
  }
  if ((mode & S_IWOTH) != 0)
    return refuse(file, fmt::format("has mode {:04o}, so everybody may change it; accepted: 0644 or less", mode));
  return {};
}

// The checks are on the open file, so that nobody can exchange it in between. O_NONBLOCK keeps a FIFO from blocking us.
Result<SecretBytes> read_checked(const std::filesystem::path& path, Privacy privacy, std::size_t max_bytes) {
  const int no_follow = privacy == Privacy::kPrivate ? O_NOFOLLOW : 0;
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | no_follow));
  if (file.get() < 0 && errno == ELOOP) return refuse(path, "a symbolic link; accepted: the file itself");
  if (file.get() < 0) return refuse_for_errno(path, "cannot be opened");
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return refuse_for_errno(path, "cannot be examined");
  if (auto checked = check_status(path, status, privacy, max_bytes); !checked) return std::unexpected(checked.error());
  SecretBytes bytes(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto rest = bytes.reveal_mutable().subspan(done);
    const ssize_t count = read(file.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse_for_errno(path, "cannot be read");
    if (count == 0) return refuse(path, "became shorter while it was read");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<void> write_new(const std::filesystem::path& path, std::span<const std::uint8_t> bytes, mode_t mode) {
  const File file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (file.get() < 0) return refuse_for_errno(path, "cannot be made");
  while (!bytes.empty()) {
    const ssize_t count = write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse_for_errno(path, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (fsync(file.get()) != 0) return refuse_for_errno(path, "cannot be written");
  return {};
}

BioPtr reader_of(const SecretBytes& bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.reveal().data(), static_cast<int>(bytes.size())));
}

// Without this OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

// All objects of one kind in a file: `read` is PEM_read_bio_X509 or its like. Blocks of other kinds are passed over.
template <class Ptr>
Result<std::vector<Ptr>> load_all(const std::filesystem::path& file, std::size_t max_bytes, auto read,
                                  std::string_view kind) {
  const auto bytes = read_file(file, max_bytes);
  if (!bytes) return std::unexpected(bytes.error());
  const BioPtr in = reader_of(*bytes);
  ERR_clear_error();
  std::vector<Ptr> out;
  while (auto* object = read(in.get(), nullptr, no_passphrase, nullptr)) out.emplace_back(object);
  const unsigned long why = ERR_peek_last_error();
  ERR_clear_error();
  const bool at_end = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
  if (!at_end) return refuse(file, fmt::format("has a damaged {0}; accepted: {0}s in PEM", kind));
  if (out.empty()) return refuse(file, fmt::format("has no {0}; accepted: {0}s in PEM", kind));
  return out;
}

}  // namespace

Result<SecretBytes> read_file(const std::filesystem::path& file, std::size_t max_bytes) {
  return read_checked(file, Privacy::kPublic, max_bytes);
}
Result<SecretBytes> read_private_file(const std::filesystem::path& file) {
  return read_checked(file, Privacy::kPrivate, kMaxPemBytes);
}

Result<void> write_private_file(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
  return write_new(file, bytes, 0600);
}
Result<void> write_public_file(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
  return write_new(file, bytes, 0644);
}

Result<std::vector<X509Ptr>> load_certificates(const std::filesystem::path& file) {
  return load_all<X509Ptr>(file, kMaxPemBytes, PEM_read_bio_X509, "certificate");
}

Result<std::vector<CrlPtr>> load_crls(const std::filesystem::path& file) {
  return load_all<CrlPtr>(file, kMaxCrlBytes, PEM_read_bio_X509_CRL, "revocation list");
}

Result<KeyPtr> load_private_key(const std::filesystem::path& file) {
  const auto bytes = read_private_file(file);
  if (!bytes) return std::unexpected(bytes.error());
  const BioPtr in = reader_of(*bytes);
  KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) return refuse(file, "has no usable private key; accepted: one in PEM without a passphrase");
  return key;
}

}  // namespace qkms::certs
