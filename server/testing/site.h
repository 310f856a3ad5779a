// For tests: a whole KME in this process, with its store on disk and real TLS, and the certificates to talk to it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/daemon.h"
#include "storage/scratch_folder.h"

namespace qkms::server::testing {

// Certificates for KME-A, KME-B and KME-C, for SAE-A, SAE-B, SAE-X (whom nobody allows anything) and operators "admin"
// and "stranger".
class Pki {
 public:
  Pki();
  std::filesystem::path file(const std::string& name) const { return folder_.path() / name; }

 private:
  storage::ScratchFolder folder_;
};

// Waits until the condition holds; false when it does not within 20 s.
bool eventually(const std::function<bool()>& condition);

// The site of one KME: SAE-A is served by KME-A, SAE-B by KME-B; both ways are allowed. It has a simulated link to
// `other`.
class Site {
 public:
  // `other_port`: where the other site's peer listener is; 0 if it is the other one that connects.
  Site(const Pki& pki, const std::string& self, const std::string& other);
  ~Site() { stop(); }

  Config config;  // to be changed before start()
  void connect_to(std::uint16_t peer_port);
  // Ports stay the same from the first start on.
  void start();
  void stop() { daemon_.reset(); }
  const Ports& ports() const { return ports_; }

 private:
  storage::ScratchFolder folder_;
  std::unique_ptr<Daemon> daemon_;
  Ports ports_;
};

}  // namespace qkms::server::testing
