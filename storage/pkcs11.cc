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
    const Result<SecretBytes> pin = pin_ ? read_pin(*pin_) : SecretBytes::copy_of(typed.reveal());
    if (!pin) return std::unexpected(pin.error());
    if (pin->empty()) return fail(ErrorCode::kUnauthorised, "the token's PIN must be typed");
    Result<Token> token = Token::open(uri_, access);
    if (!token) return token;
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

// What the configuration calls the key and the token, for people.
std::string name_of(P11KitUri* uri) {
  const auto text = [](const void* bytes, std::size_t size) {
    const std::string_view whole(static_cast<const char*>(bytes), size);
    return printable(whole.substr(0, whole.find_last_not_of(std::string_view(" \0", 2)) + 1));
  };
  const CK_TOKEN_INFO* const token = p11_kit_uri_get_token_info(uri);
  const std::string label_of_token = text(token->label, sizeof token->label);
  const std::string where =
      label_of_token.empty() ? text(token->serialNumber, sizeof token->serialNumber) : label_of_token;
  if (const CK_ATTRIBUTE* label = p11_kit_uri_get_attribute(uri, CKA_LABEL)) {
    return "the key " + text(label->pValue, label->ulValueLen) + " of the token " + where;
  }
  const CK_ATTRIBUTE* const id = p11_kit_uri_get_attribute(uri, CKA_ID);
  return "the key " + to_hex({static_cast<const std::uint8_t*>(id->pValue), id->ulValueLen}) + " of the token " + where;
}

Result<void> check_parts(P11KitUri* uri) {
  const auto refuse = [](std::string_view why) {
    return fail(ErrorCode::kInvalid, "the pkcs11: URI " + std::string(why));
  };
  if (p11_kit_uri_any_unrecognized(uri) != 0) return refuse("has a part that is not understood");
  if (p11_kit_uri_get_pin_value(uri) != nullptr) return refuse("holds the PIN: use pin-source");
  const char* const module = p11_kit_uri_get_module_path(uri);
  if (module == nullptr || !is_absolute(module)) return refuse("needs module-path= and an absolute path");
  const CK_TOKEN_INFO* const token = p11_kit_uri_get_token_info(uri);
  if (token->label[0] == 0 && token->serialNumber[0] == 0) return refuse("needs token= or serial=");
  const bool key =
      p11_kit_uri_get_attribute(uri, CKA_LABEL) != nullptr || p11_kit_uri_get_attribute(uri, CKA_ID) != nullptr;
  if (!key) return refuse("needs object= or id=");
  const CK_ATTRIBUTE* const type = p11_kit_uri_get_attribute(uri, CKA_CLASS);
  const bool secret = type == nullptr || *static_cast<const CK_OBJECT_CLASS*>(type->pValue) == CKO_SECRET_KEY;
  if (!secret) return refuse("has another type than secret-key");
  return {};
}

}  // namespace

Result<std::unique_ptr<MasterKeyProvider>> make_pkcs11_provider(const std::string& uri) {
  const UriPtr parsed(p11_kit_uri_new(), p11_kit_uri_free);
  if (p11_kit_uri_parse(uri.c_str(), P11_KIT_URI_FOR_ANY, parsed.get()) != P11_KIT_URI_OK) {
    return fail(ErrorCode::kInvalid, "this is no pkcs11: URI as RFC 7512 has them");
  }
  if (Result<void> good = check_parts(parsed.get()); !good) return std::unexpected(good.error());
  Result<std::optional<MasterKeySource>> pin = pin_source_of(parsed.get());
  if (!pin) return std::unexpected(pin.error());
  return std::make_unique<Pkcs11Provider>(parsed, name_of(parsed.get()), std::move(*pin));
}

}  // namespace qkms::storage
