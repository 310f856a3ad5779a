// A PKCS#11 token (OASIS PKCS #11 V2.40) for as long as it is used: library, session, log-in. Each part undoes itself.
// Errors say what is missing in words: the module, the token, the object, the PIN, the mechanism.
#pragma once

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

using UriPtr = std::shared_ptr<P11KitUri>;

// What the call said, in PKCS#11's words: "cannot find the object: ...".
std::unexpected<Error> token_failure(const std::string& verb, CK_RV code);

class Token {
 public:
  enum class Access { kRead, kWrite };

  // Loads the module of `uri` and opens a session with the one token that matches. kNotFound: no such library or token.
  static Result<Token> open(const UriPtr& uri, Access access);
  Token(Token&& other) noexcept = default;
  Token& operator=(Token&& other) = delete;

  // kUnauthorised: another PIN than the token's. kInvalid: the PIN is locked, or was never set.
  Result<void> log_in(const SecretBytes& pin);
  // The token's say, without a log-in: its PIN is not locked, and it has `mechanism`.
  Result<void> check(CK_MECHANISM_TYPE mechanism) const;

  // The one secret key that matches. kNotFound: none; kInvalid: more than one, or one that the token would give away.
  Result<CK_OBJECT_HANDLE> find_key(const UriPtr& uri) const;
  // HMAC-SHA-256 under that key.
  Result<SecretBytes> hmac(CK_OBJECT_HANDLE key, std::span<const std::uint8_t> text) const;
  // Makes a key of 256 bits that signs and never leaves the token, with the label and ID of `uri`.
  Result<void> make_key(const UriPtr& uri) const;

 private:
  // As unique_ptr deleters: what was taken last goes first.
  struct Release {
    void operator()(CK_FUNCTION_LIST* module) const { p11_kit_module_release(module); }
  };
  struct Finalize {
    void operator()(CK_FUNCTION_LIST* module) const { p11_kit_module_finalize(module); }
  };
  struct Session {
    Session(CK_FUNCTION_LIST& of, CK_SLOT_ID at, CK_SESSION_HANDLE opened) : calls(of), slot(at), handle(opened) {}
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    CK_FUNCTION_LIST& calls;
    const CK_SLOT_ID slot;
    const CK_SESSION_HANDLE handle;
    bool logged_in = false;
  };

  Token() = default;
  Result<void> load(const std::string& path);
  Result<CK_SLOT_ID> find_slot(const UriPtr& uri) const;
  Result<void> check_key(CK_OBJECT_HANDLE key) const;
  CK_FUNCTION_LIST& calls() const { return *module_; }

  std::unique_ptr<CK_FUNCTION_LIST, Release> module_;
  std::unique_ptr<CK_FUNCTION_LIST, Finalize> initialized_;
  std::unique_ptr<Session> session_;
};

}  // namespace qkms::storage
