// For tests: a device at the other end of a TLS connection, as good or as bad as its script wants it, and the
// certificates of both sides. It shares no code with our listeners.
#pragma once

#include <openssl/ssl.h>

#include <filesystem>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/file_descriptor.h"
#include "certs/dev_ca.h"
#include "drivers/tls_settings.h"

namespace qkms::drivers {

// A CA, a device's certificate (good for 127.0.0.1 and device.test) and ours, in a folder of their own.
class DevicePki {
 public:
  DevicePki();
  ~DevicePki();
  DevicePki(const DevicePki&) = delete;
  DevicePki& operator=(const DevicePki&) = delete;

  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  // Writes NAME.crt and NAME.key: a server's, from this CA.
  void issue(const std::string& name, const std::vector<std::string>& alternative_names) const;
  // Ours, for a device on this machine.
  TlsSettings settings(std::uint16_t port) const;

 private:
  std::filesystem::path folder_;
  certs::Credential ca_;
};

class TlsDevice {
 public:
  // A connection after the handshake; all calls block.
  class Connection {
   public:
    explicit Connection(SSL* ssl) : ssl_(ssl) {}
    // Nothing: the other side has gone, or the device is stopped.
    std::optional<std::string> read_some();
    bool write(std::string_view bytes);
    // Ends without a close_notify, as a process that dies.
    void die();
    bool has_died() const { return dead_; }
    // Until the other side has gone, or the device is stopped.
    void hang();

   private:
    SSL* ssl_;
    bool dead_ = false;
  };
  using Script = std::function<void(Connection& connection)>;

  // Runs the script for each connection, on a thread of its own. TLS ends in an orderly way when it returns.
  TlsDevice(const DevicePki& pki, Script script, const std::string& certificate = "device",
            int newest_version = TLS1_3_VERSION);
  ~TlsDevice();
  TlsDevice(const TlsDevice&) = delete;
  TlsDevice& operator=(const TlsDevice&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t connections() const;

 private:
  void accept_all(const std::stop_token& stopping);
  void serve(int socket);

  const Script script_;
  const certs::SslContextPtr context_;
  FileDescriptor listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::list<FileDescriptor> sockets_;
  std::list<std::thread> threads_;
  std::jthread accepting_;
};

}  // namespace qkms::drivers
