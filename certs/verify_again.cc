#include "certs/verify_again.h"

#include "certs/wall_clock.h"

namespace qkms::certs {

namespace {

using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

std::unexpected<Error> refuse(std::string text) {
  return fail(ErrorCode::kUnauthorised, "certificate no longer accepted: " + std::move(text));
}

// As libssl prepares the verification of a handshake.
bool prepare(X509_STORE_CTX* context, SSL_CTX* now, const SSL* connection, X509* leaf) {
  if (X509_STORE_CTX_init(context, SSL_CTX_get_cert_store(now), leaf, SSL_get_peer_cert_chain(connection)) != 1)
    return false;
  const char* purpose = SSL_is_server(connection) != 0 ? "ssl_client" : "ssl_server";
  if (X509_STORE_CTX_set_default(context, purpose) != 1) return false;
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context);
  if (X509_VERIFY_PARAM_set1(parameters, SSL_CTX_get0_param(now)) != 1) return false;
  X509_VERIFY_PARAM_set_auth_level(parameters, SSL_CTX_get_security_level(now));
  X509_STORE_CTX_set_time(context, 0, judged_time());
  X509_STORE_CTX_set_verify_cb(context, SSL_CTX_get_verify_callback(now));  // the rules for the leaf
  return true;
}

}  // namespace

Result<void> verify_again(SSL_CTX* now, const SSL* connection) {
  X509* leaf = SSL_get0_peer_certificate(connection);
  if (leaf == nullptr) return refuse("none was shown");
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (context == nullptr || !prepare(context.get(), now, connection, leaf))
    return fail(ErrorCode::kInternal, "verification: " + openssl_errors());
  const bool good = X509_verify_cert(context.get()) == 1;
  openssl_errors();  // what it left on this thread's queue is said by the verdict
  if (good) return {};
  return refuse(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace qkms::certs
