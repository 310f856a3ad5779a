// See token.h. p11-kit loads the library; "unmanaged" means that the calls below are the library's own, without a layer
// of p11-kit's, which would need memory that is writable and executable.
#include "storage/token.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace qkms::storage {
namespace {

// The fields of CK_TOKEN_INFO are padded with blanks and end in no zero.
template <std::size_t size>
std::string shown(const CK_UTF8CHAR (&field)[size]) {
  std::string_view text(reinterpret_cast<const char*>(field), size);
  return printable(text.substr(0, text.find_last_not_of(' ') + 1));
}

std::string module_of(const UriPtr& uri) { return p11_kit_uri_get_module_path(uri.get()); }

bool is_wrong_pin(CK_RV code) {
  return code == CKR_PIN_INCORRECT || code == CKR_PIN_LEN_RANGE || code == CKR_PIN_INVALID;
}

}  // namespace

std::unexpected<Error> token_failure(const std::string& verb, CK_RV code) {
  const char* const words = p11_kit_strerror(code);
  return fail(ErrorCode::kIo, "the token cannot " + verb + ": " + (words != nullptr ? words : "no reason given"));
}

Token::Session::~Session() {
  if (logged_in) calls.C_Logout(handle);
  calls.C_CloseSession(handle);
}

Result<void> Token::load(const std::string& path) {
  module_.reset(p11_kit_module_load(path.c_str(), P11_KIT_MODULE_UNMANAGED));
  if (!module_) {
    const char* const why = p11_kit_message();
    return fail(ErrorCode::kNotFound, "the PKCS#11 module " + path + " does not load" +
                                          (why != nullptr ? ": " + printable(why, 300) : std::string()));
  }
  if (const CK_RV code = p11_kit_module_initialize(module_.get()); code != CKR_OK) {
    return token_failure("be reached, since its module " + path + " does not start", code);
  }
  initialized_.reset(module_.get());
  return {};
}

Result<CK_SLOT_ID> Token::find_slot(const UriPtr& uri) const {
  CK_ULONG count = 0;
  CK_RV code = calls().C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  if (code == CKR_OK && count > 0) code = calls().C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (code != CKR_OK) return token_failure("be looked for", code);
  slots.resize(count);
  std::vector<CK_SLOT_ID> matching;
  std::string others;
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (calls().C_GetTokenInfo(slot, &info) != CKR_OK) continue;
    if (p11_kit_uri_match_token_info(uri.get(), &info) == 1) {
      matching.push_back(slot);
    } else if ((info.flags & CKF_TOKEN_INITIALIZED) != 0) {
      others += (others.empty() ? "; there: " : ", ") + shown(info.label);
    }
  }
  if (matching.size() == 1) return matching.front();
  if (matching.size() > 1) return fail(ErrorCode::kInvalid, "more than one token is meant: add serial= to the URI");
  return fail(ErrorCode::kNotFound, "the module " + module_of(uri) + " has no such token" + others);
}

Result<Token> Token::open(const UriPtr& uri, Access access) {
  Token token;
  if (Result<void> loaded = token.load(module_of(uri)); !loaded) return std::unexpected(loaded.error());
  const Result<CK_SLOT_ID> slot = token.find_slot(uri);
  if (!slot) return std::unexpected(slot.error());
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (access == Access::kWrite ? CKF_RW_SESSION : 0);
  CK_SESSION_HANDLE handle = 0;
  const CK_RV code = token.calls().C_OpenSession(*slot, flags, nullptr, nullptr, &handle);
  if (code != CKR_OK) return token_failure("open a session", code);
  token.session_ = std::make_unique<Session>(token.calls(), *slot, handle);
  return token;
}

Result<void> Token::log_in(const SecretBytes& pin) {
  SecretBytes copy = SecretBytes::copy_of(pin.reveal());
  const CK_RV code = calls().C_Login(session_->handle, CKU_USER, copy.reveal_mutable().data(), copy.size());
  session_->logged_in = code == CKR_OK;
  if (code == CKR_OK) return {};
  if (is_wrong_pin(code)) return fail(ErrorCode::kUnauthorised, "the token does not take this PIN");
  if (code == CKR_PIN_LOCKED) {
    return fail(ErrorCode::kInvalid, "the token's PIN is locked: its security officer must set a new one");
  }
  if (code == CKR_USER_PIN_NOT_INITIALIZED) return fail(ErrorCode::kInvalid, "the token's user PIN was never set");
  return token_failure("log in", code);
}

Result<void> Token::check(CK_MECHANISM_TYPE mechanism) const {
  CK_TOKEN_INFO token{};
  if (const CK_RV code = calls().C_GetTokenInfo(session_->slot, &token); code != CKR_OK) {
    return token_failure("be examined", code);
  }
  if ((token.flags & CKF_USER_PIN_LOCKED) != 0) {
    return fail(ErrorCode::kInvalid, "the token's PIN is locked: its security officer must set a new one");
  }
  CK_MECHANISM_INFO info{};
  if (calls().C_GetMechanismInfo(session_->slot, mechanism, &info) == CKR_OK && (info.flags & CKF_SIGN) != 0) return {};
  return fail(ErrorCode::kInvalid, "the token cannot make an HMAC-SHA-256 (CKM_SHA256_HMAC)");
}

Result<CK_OBJECT_HANDLE> Token::find_key(const UriPtr& uri) const {
  CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
  std::vector<CK_ATTRIBUTE> wanted = {{CKA_CLASS, &secret, sizeof secret}};
  for (const CK_ATTRIBUTE_TYPE type : {CKA_LABEL, CKA_ID}) {
    if (const CK_ATTRIBUTE* given = p11_kit_uri_get_attribute(uri.get(), type)) wanted.push_back(*given);
  }
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  CK_RV code = calls().C_FindObjectsInit(session_->handle, wanted.data(), wanted.size());
  if (code == CKR_OK) {
    code = calls().C_FindObjects(session_->handle, found.data(), found.size(), &count);
    calls().C_FindObjectsFinal(session_->handle);
  }
  if (code != CKR_OK) return token_failure("look for the key", code);
  if (count == 0) return fail(ErrorCode::kNotFound, "the token has no such secret key");
  if (count > 1) return fail(ErrorCode::kInvalid, "more than one key is meant: add id= to the URI");
  if (Result<void> good = check_key(found[0]); !good) return std::unexpected(good.error());
  return found[0];
}

// A key that the token would give away is no better than one in a file, and whoever chose a token believes otherwise.
Result<void> Token::check_key(CK_OBJECT_HANDLE key) const {
  CK_BBOOL extractable = CK_TRUE, sensitive = CK_FALSE;
  std::array<CK_ATTRIBUTE, 2> asked = {
      {{CKA_EXTRACTABLE, &extractable, sizeof extractable}, {CKA_SENSITIVE, &sensitive, sizeof sensitive}}};
  const CK_RV code = calls().C_GetAttributeValue(session_->handle, key, asked.data(), asked.size());
  if (code != CKR_OK) return token_failure("say whether the key can leave it", code);
  if (extractable == CK_FALSE && sensitive == CK_TRUE) return {};
  return fail(ErrorCode::kInvalid, "the key can leave the token (it is extractable, or not sensitive): make another");
}

Result<SecretBytes> Token::hmac(CK_OBJECT_HANDLE key, std::span<const std::uint8_t> text) const {
  constexpr std::size_t kBytes = 32;
  CK_MECHANISM mechanism = {CKM_SHA256_HMAC, nullptr, 0};
  CK_RV code = calls().C_SignInit(session_->handle, &mechanism, key);
  if (code != CKR_OK) return token_failure("make an HMAC-SHA-256 under this key", code);
  std::vector<CK_BYTE> input(text.begin(), text.end());
  SecretBytes out(kBytes);
  CK_ULONG size = out.size();
  code = calls().C_Sign(session_->handle, input.data(), input.size(), out.reveal_mutable().data(), &size);
  if (code == CKR_OK && size == kBytes) return out;
  return token_failure("make an HMAC-SHA-256 under this key", code);
}

Result<void> Token::make_key(const UriPtr& uri) const {
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG bytes = 32;
  std::vector<CK_ATTRIBUTE> wanted = {{CKA_TOKEN, &yes, sizeof yes},     {CKA_PRIVATE, &yes, sizeof yes},
                                      {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no},
                                      {CKA_SIGN, &yes, sizeof yes},      {CKA_VERIFY, &yes, sizeof yes},
                                      {CKA_MODIFIABLE, &no, sizeof no},  {CKA_VALUE_LEN, &bytes, sizeof bytes}};
  for (const CK_ATTRIBUTE_TYPE type : {CKA_LABEL, CKA_ID}) {
    if (const CK_ATTRIBUTE* given = p11_kit_uri_get_attribute(uri.get(), type)) wanted.push_back(*given);
  }
  CK_MECHANISM mechanism = {CKM_GENERIC_SECRET_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made = 0;
  const CK_RV code = calls().C_GenerateKey(session_->handle, &mechanism, wanted.data(), wanted.size(), &made);
  if (code != CKR_OK) return token_failure("make a generic secret key", code);
  return {};
}

}  // namespace qkms::storage
