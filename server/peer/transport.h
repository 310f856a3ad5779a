// The sessions with other KMEs: mutual-TLS WebSockets that carry the frames of api/peer, one live session for each
// peer.
//
// Operation: of two KMEs the lower ID connects, to the configured address, again and again with back-off; the higher
// one listens. The name in the certificate must be that of a configured peer that is to connect, or exactly the one
// connected to. A new session of a peer replaces the one before. The engine hears PeerUp, PeerFrame and PeerDown, in
// this order for each session. Concurrency: a thread of its own. send(), close() and close_all() come from any thread
// and do not block. Limits: a frame is at most api::kMaxFrameBytes; a session whose unsent frames exceed
// kMaxUnsentBytes, that sends what cannot be decoded, or that the engine's queue has no place for, is closed. Sequence
// numbers and acknowledgements make good what is lost thereby.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "kms/event.h"
#include "server/config.h"

namespace qkms::server::peer {

inline constexpr std::size_t kMaxUnsentBytes = 32 << 20;
// Inbound connections that have not proved who they are, in all and from one address: nobody can keep the peers out.
inline constexpr std::size_t kMaxHandshakes = 64, kMaxHandshakesOfOneAddress = 8;

struct TransportStats {
  std::atomic<std::uint64_t> sessions = 0;         // established so far
  std::atomic<std::uint64_t> failed_attempts = 0;  // to connect
  std::atomic<std::uint64_t> refused = 0;          // inbound: handshake failed, wrong name, or too many
  std::atomic<std::uint64_t> undecodable_frames = 0;
  std::atomic<std::uint64_t> overflows = 0;  // sessions closed because of a full queue
  std::atomic<std::uint64_t> frames_received = 0;
  std::atomic<std::uint64_t> frames_sent = 0;
};

struct TransportSettings {
  KmeId self;
  std::string address;
  std::uint16_t port = 0;
  NameRule name_rule = NameRule::kUriElseCommonName;
  std::shared_ptr<SSL_CTX> server_tls, client_tls;
  std::string trust;  // changes when other certificates than before are to be believed
  std::vector<PeerConfig> peers;
  std::uint32_t handshake_ms = 5000;
  // Into the engine's queue. Called on the transport's thread.
  std::function<Result<void>(kms::Event)> push;
};

class Transport {
 public:
  // Binds. Nothing is accepted, and nobody connected to, before start().
  static Result<std::unique_ptr<Transport>> open(TransportSettings settings);
  ~Transport();

  void start();
  void stop();  // closes all sessions and returns when the thread has ended

  void send(kms::SendEffect effect);
  void close(kms::CloseEffect effect);
  void close_all();

  // No sessions for a while: those that there are end, nobody is connected to, and whoever connects is hung up on at
  // once, so that peers come less and less often (backoff.h). resume() connects at once.
  void pause();
  void resume();

  // Other peers, addresses and certificates; sessions that these still allow go on. Own name, address and port, and
  // `push`, stay as they were.
  void replace(TransportSettings settings);

  std::uint16_t port() const;
  const TransportStats& stats() const;

 private:
  struct Core;
  explicit Transport(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace qkms::server::peer
