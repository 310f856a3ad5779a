#include "cli/conformance/session.h"

#include "certs/dev_ca.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;

std::unexpected<Error> tls_error() { return fail(ErrorCode::kInternal, "TLS: " + certs::openssl_errors()); }

bool set_versions(SSL_CTX* context, int lowest, int highest) {
  return SSL_CTX_set_min_proto_version(context, lowest) == 1 && SSL_CTX_set_max_proto_version(context, highest) == 1;
}

// TLS 1.0 and 1.1 rest on SHA-1, which OpenSSL speaks at security level 0 alone.
Result<void> speak_old_tls(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, 0);
  if (SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0") == 1 && set_versions(context, TLS1_VERSION, TLS1_1_VERSION))
    return {};
  return tls_error();
}

Result<void> show_foreign_certificate(SSL_CTX* context, const std::string& name) {
  const auto ca = certs::make_dev_ca("foreign");
  if (!ca) return std::unexpected(ca.error());
  const auto credential = certs::issue_dev_certificate(*ca, name, certs::CertificateUse::kClient, {});
  if (!credential) return std::unexpected(credential.error());
  if (SSL_CTX_use_certificate(context, credential->certificate.get()) == 1 &&
      SSL_CTX_use_PrivateKey(context, credential->key.get()) == 1 && SSL_CTX_clear_chain_certs(context) == 1)
    return {};
  return tls_error();
}

Result<certs::SslContextPtr> make_context_without_certificate(const certs::TlsFiles& files) {
  certs::SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || SSL_CTX_load_verify_file(context.get(), files.ca.c_str()) != 1) return tls_error();
  return context;
}

Result<void> disguise_as(SSL_CTX* context, const Caller& caller, Disguise disguise) {
  switch (disguise) {
    case Disguise::kForeign:
      return show_foreign_certificate(context, caller.name);
    case Disguise::kOldTls:
      return speak_old_tls(context);
    case Disguise::kTls13:
      return set_versions(context, TLS1_3_VERSION, TLS1_3_VERSION) ? Result<void>() : tls_error();
    case Disguise::kNone:
    case Disguise::kNoCertificate:
      break;
  }
  return {};
}

}  // namespace

Result<certs::SslContextPtr> make_context(const Caller& caller, Disguise disguise) {
  auto context = disguise == Disguise::kNoCertificate
                     ? make_context_without_certificate(caller.files)
                     : certs::make_client_context(caller.files, certs::TlsMinimum::k1_2);
  if (!context) return context;
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  if (auto done = disguise_as(context->get(), caller, disguise); !done) return std::unexpected(done.error());
  return context;
}

Result<std::unique_ptr<Session>> Session::make(Caller caller, Disguise disguise) {
  auto context = make_context(caller, disguise);
  if (!context) return std::unexpected(context.error());
  return std::unique_ptr<Session>(new Session(std::move(caller), std::move(*context)));
}

Result<void> Session::connect() {
  connection_ = std::make_unique<TlsConnection>(caller_.kme, caller_.timeout_ms);
  if (auto connected = connection_->connect(); !connected) return connected;
  if (auto secured = connection_->handshake(context_.get()); !secured) return secured;
  ++connections_;
  tls_version_ = connection_->version();
  return {};
}

Result<api::HttpAnswer> Session::receive() {
  api::SecretBuffer buffer;
  while (true) {
    const auto size = connection_->receive(buffer.room(kReadBytes));
    const bool failed = !size && (size.error().code == ErrorCode::kPeerUnreachable || buffer.size() == 0);
    if (failed) return std::unexpected(size.error());
    buffer.grow(size ? *size : 0);
    // A server that ends a connection without saying so in TLS is only seen here.
    const api::Stream stream = size && *size > 0 ? api::Stream::kOpen : api::Stream::kClosed;
    auto answer = api::read_answer(buffer, stream);
    if (!answer) return std::unexpected(answer.error());
    if (*answer) return std::move(**answer);
  }
}

Result<api::HttpAnswer> Session::exchange(std::string_view bytes) {
  if (connection_ != nullptr && connection_->has_news()) connection_.reset();  // closed while idle
  if (connection_ == nullptr) {
    if (auto connected = connect(); !connected) {
      connection_.reset();
      return std::unexpected(connected.error());
    }
  }
  connection_->allow(caller_.timeout_ms);
  auto sent = connection_->send(bytes);
  auto answer = sent ? receive() : Result<api::HttpAnswer>(std::unexpected(sent.error()));
  if (!answer || !answer->keeps_connection) connection_.reset();
  return answer;
}

}  // namespace qkms::cli::conformance
