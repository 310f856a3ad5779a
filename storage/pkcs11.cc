// See pkcs11.h.
#include "storage/pkcs11.h"

#include <mutex>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "storage/secret_file.h"
#include "storage/token.h"

namespace qkms::storage {
namespace {

// What is signed. Another text would be another master key.
constexpr std::string_view kLabel = "qkms master key 1";

std::mutex& turn() {
  static std::mutex mutex;
  return mutex;
}

// Where the PIN stands, when it is not typed.
Result<SecretBytes> read_pin(const MasterKeySource& source) {
  Result<SecretBytes> content = source.scheme == MasterKeySource::Scheme::kFile
                                    ? read_secret_file(source.place, "PIN file", kMaxTypedBytes)
                                    : read_credential(source.place, "PIN", kMaxTypedBytes);
  if (!content || content->reveal().back() != '\n') return content;
  if (content->size() == 1) return fail(ErrorCode::kInvalid, "the PIN in " + text_of(source) + " is empty");
  return content->slice(0, content->size() - 1);
}

class Pkcs11Provider final : public MasterKeyProvider {
 public:
  Pkcs11Provider(UriPtr uri, std::string name, std::optional<MasterKeySource> pin)
      : uri_(std::move(uri)), name_(std::move(name)), pin_(std::move(pin)) {}

  Result<SecretBytes> fetch(const SecretBytes& typed) const override {
    const std::lock_guard lock(turn());
    Result<SecretBytes> made = ask_token(typed);
    if (!made) return named(made.error());
    return made;
  }

  std::string describe() const override { return name_; }
  std::string asks_for() const override { return pin_ ? "" : "PIN"; }

  Result<void> check() const override {
    const std::lock_guard lock(turn());
    Result<void> done = check_token();
    if (done && pin_) {
      if (const Result<SecretBytes> made = ask_token({}); !made) done = std::unexpected(made.error());
    }
    if (!done) return named(done.error());
    return {};
  }

  Result<void> create(const SecretBytes& typed) const override {
    const std::lock_guard lock(turn());
    if (const Result<void> done = make_key(typed); !done) return named(done.error());
    return {};
  }

 private:
  std::unexpected<Error> named(const Error& error) const { return fail(error.code, name_ + ": " + error.text); }

  Result<Token> open(const SecretBytes& typed, Token::Access access) const {
    Result<Token> token = Token::open(uri_, access);  // first: nobody types a PIN for a token that is not there
    if (!token) return token;
    const Result<SecretBytes> pin = pin_ ? read_pin(*pin_) : SecretBytes::copy_of(typed.reveal());
    if (!pin) return std::unexpected(pin.error());
    if (pin->empty()) return fail(ErrorCode::kUnauthorised, "the token's PIN must be typed");
    if (Result<void> in = token->log_in(*pin); !in) return std::unexpected(in.error());
    return token;
  }

  Result<SecretBytes> ask_token(const SecretBytes& typed) const {
    const Result<Token> token = open(typed, Token::Access::kRead);
    if (!token) return std::unexpected(token.error());
    const Result<CK_OBJECT_HANDLE> key = token->find_key(uri_);
    if (!key) return std::unexpected(key.error());
    return token->hmac(*key, {reinterpret_cast<const std::uint8_t*>(kLabel.data()), kLabel.size()});
  }

  Result<void> check_token() const {
    const Result<Token> token = Token::open(uri_, Token::Access::kRead);
    if (!token) return std::unexpected(token.error());
    return token->check(CKM_SHA256_HMAC);
  }

  Result<void> make_key(const SecretBytes& typed) const {
    const Result<Token> token = open(typed, Token::Access::kWrite);
    if (!token) return std::unexpected(token.error());
    const Result<CK_OBJECT_HANDLE> there = token->find_key(uri_);
    if (there || there.error().code == ErrorCode::kInvalid) return fail(ErrorCode::kInvalid, "there is a key already");
    if (there.error().code != ErrorCode::kNotFound) return std::unexpected(there.error());
    return token->make_key(uri_);
  }

  const UriPtr uri_;
  const std::string name_;
  const std::optional<MasterKeySource> pin_;
};

bool is_absolute(std::string_view path) { return path.starts_with('/'); }

Result<std::optional<MasterKeySource>> pin_source_of(P11KitUri* uri) {
  const char* const text = p11_kit_uri_get_pin_source(uri);
  if (text == nullptr) return std::nullopt;
  const auto source = parse_master_key_source(text);
  const bool is_file = source && source->scheme == MasterKeySource::Scheme::kFile && is_absolute(source->place);
  const bool is_credential =
      source && source->scheme == MasterKeySource::Scheme::kCredential && is_credential_name(source->place);
  if (is_file || is_credential) return *source;
  return fail(ErrorCode::kInvalid, "pin-source is file: and an absolute path, or credential: and a name");
}

// A field of CK_TOKEN_INFO in a URI: padded with blanks, or zeroes when the URI does not have it.
template <std::size_t size>
std::string_view text_in(const CK_UTF8CHAR (&field)[size]) {
  const std::string_view whole(reinterpret_cast<const char*>(field), size);
  return whole.substr(0, whole.find_last_not_of(std::string_view(" \0", 2)) + 1);
}

std::string_view bytes_of(P11KitUri* uri, CK_ATTRIBUTE_TYPE type) {
  const CK_ATTRIBUTE* const found = p11_kit_uri_get_attribute(uri, type);
  return found != nullptr ? std::string_view(static_cast<const char*>(found->pValue), found->ulValueLen) : "";
}

// What the configuration calls the key and the token, for people.
std::string name_of(P11KitUri* uri) {
  const CK_TOKEN_INFO& token = *p11_kit_uri_get_token_info(uri);
  const std::string_view label = bytes_of(uri, CKA_LABEL), id = bytes_of(uri, CKA_ID);
  const std::string key =
      label.empty() ? to_hex({reinterpret_cast<const std::uint8_t*>(id.data()), id.size()}) : printable(label);
  const std::string_view of = text_in(token.label).empty() ? text_in(token.serialNumber) : text_in(token.label);
  return "the key " + key + " of the token " + printable(of);
}

Result<void> check_parts(P11KitUri* uri) {
  const auto refuse = [](std::string_view why) {
    return fail(ErrorCode::kInvalid, "the pkcs11: URI " + std::string(why));
  };
  if (p11_kit_uri_any_unrecognized(uri) != 0) return refuse("has a part that is not understood");
  if (p11_kit_uri_get_pin_value(uri) != nullptr) return refuse("holds the PIN: use pin-source");
  const char* const module = p11_kit_uri_get_module_path(uri);
  if (module == nullptr || !is_absolute(module)) return refuse("needs module-path= and an absolute path");
  const CK_TOKEN_INFO& token = *p11_kit_uri_get_token_info(uri);
  if (text_in(token.label).empty() && text_in(token.serialNumber).empty()) return refuse("needs token= or serial=");
  if (bytes_of(uri, CKA_LABEL).empty() && bytes_of(uri, CKA_ID).empty()) return refuse("needs object= or id=");
  const CK_ATTRIBUTE* const type = p11_kit_uri_get_attribute(uri, CKA_CLASS);
  const bool secret = type == nullptr || *static_cast<const CK_OBJECT_CLASS*>(type->pValue) == CKO_SECRET_KEY;
  if (!secret) return refuse("has another type than secret-key");
  return {};
}

}  // namespace

Result<std::unique_ptr<MasterKeyProvider>> make_pkcs11_provider(const std::string& uri) {
  const UriPtr parsed(p11_kit_uri_new(), p11_kit_uri_free);
  // What says which slot or library is "not recognised" then.
  if (p11_kit_uri_parse(uri.c_str(), P11_KIT_URI_FOR_OBJECT_ON_TOKEN, parsed.get()) != P11_KIT_URI_OK) {
    return fail(ErrorCode::kInvalid, "this is no pkcs11: URI as RFC 7512 has them");
  }
  if (Result<void> good = check_parts(parsed.get()); !good) return std::unexpected(good.error());
  Result<std::optional<MasterKeySource>> pin = pin_source_of(parsed.get());
  if (!pin) return std::unexpected(pin.error());
  return std::make_unique<Pkcs11Provider>(parsed, name_of(parsed.get()), std::move(*pin));
}

}  // namespace qkms::storage
