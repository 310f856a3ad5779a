// A master key of a token, with SoftHSM 2 as the token (package softhsm2), and the tool of others to make keys that
// ours would not make (package opensc). Threat T37: what is missing or wrong is said, and a PIN that others can read is
// refused.
#include "storage/pkcs11.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "storage/scratch_folder.h"

namespace qkms::storage {
namespace {

using testing::HasSubstr;

SecretBytes bytes_of(std::string_view text) {
  return SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

const char* module_path() {
  constexpr const char* kPlaces[] = {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"};
  for (const char* const place : kPlaces) {
    if (std::filesystem::exists(place)) return place;
  }
  return "softhsm2 is not installed";
}

class Pkcs11 : public testing::Test {
 protected:
  Pkcs11() {
    std::filesystem::create_directory(folder_.path() / "tokens");
    const std::filesystem::path configuration = folder_.path() / "softhsm2.conf";
    std::ofstream(configuration) << "directories.tokendir = " << (folder_.path() / "tokens").string()
                                 << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", configuration.c_str(), 1);
    run("softhsm2-util --init-token --free --label site --so-pin 5678 --pin 1234");
  }
  ~Pkcs11() override { ::unsetenv("SOFTHSM2_CONF"); }

  void run(const std::string& command) const {
    const std::string log = (folder_.path() / "log").string();
    EXPECT_EQ(std::system((command + " >" + log + " 2>&1").c_str()), 0) << command << "\n"
                                                                        << std::ifstream(log).rdbuf();
  }
  void pkcs11_tool(const std::string& arguments) const {
    run("pkcs11-tool --module " + std::string(module_path()) + " --token-label site --login --pin 1234 " + arguments);
  }

  // A secret that was made elsewhere, which pkcs11-tool cannot put in.
  void put_key(std::string label, std::string secret, CK_BBOOL sensitive) const {
    const std::unique_ptr<CK_FUNCTION_LIST, decltype(&p11_kit_module_release)> module(
        p11_kit_module_load(module_path(), P11_KIT_MODULE_UNMANAGED), p11_kit_module_release);
    ASSERT_NE(module, nullptr);
    ASSERT_EQ(p11_kit_module_initialize(module.get()), CKR_OK);
    std::array<CK_SLOT_ID, 2> slots{};  // the second is SoftHSM's free one
    CK_ULONG count = slots.size();
    ASSERT_EQ(module->C_GetSlotList(CK_TRUE, slots.data(), &count), CKR_OK);
    CK_SESSION_HANDLE session = 0;
    ASSERT_EQ(module->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session), CKR_OK);
    std::string pin = "1234";
    ASSERT_EQ(module->C_Login(session, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()), CKR_OK);
    CK_OBJECT_CLASS type = CKO_SECRET_KEY;
    CK_KEY_TYPE kind = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_BYTE id = 10;
    std::vector<CK_ATTRIBUTE> key = {{CKA_CLASS, &type, sizeof type},
                                     {CKA_KEY_TYPE, &kind, sizeof kind},
                                     {CKA_TOKEN, &yes, sizeof yes},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SIGN, &yes, sizeof yes},
                                     {CKA_EXTRACTABLE, &no, sizeof no},
                                     {CKA_SENSITIVE, &sensitive, sizeof sensitive},
                                     {CKA_ID, &id, sizeof id},
                                     {CKA_LABEL, label.data(), label.size()},
                                     {CKA_VALUE, secret.data(), secret.size()}};
    CK_OBJECT_HANDLE made = 0;
    EXPECT_EQ(module->C_CreateObject(session, key.data(), key.size(), &made), CKR_OK);
    EXPECT_EQ(module->C_CloseSession(session), CKR_OK);
    EXPECT_EQ(p11_kit_module_finalize(module.get()), CKR_OK);
  }

  static std::string uri(const std::string& object, const std::string& more = "") {
    return "pkcs11:token=site;object=" + object + "?module-path=" + module_path() + more;
  }
  static std::unique_ptr<MasterKeyProvider> provider(const std::string& text) {
    Result<std::unique_ptr<MasterKeyProvider>> made = make_pkcs11_provider(text);
    EXPECT_TRUE(made) << made.error().text;
    return made ? std::move(*made) : nullptr;
  }
  static void expect_refusal(const std::string& text, std::string_view pin, ErrorCode code, std::string_view words) {
    const Result<SecretBytes> key = provider(text)->fetch(bytes_of(pin));
    ASSERT_FALSE(key) << text;
    EXPECT_EQ(key.error().code, code) << key.error().text;
    EXPECT_THAT(key.error().text, HasSubstr(words));
    EXPECT_THAT(key.error().text, testing::Not(HasSubstr("1234")));
  }
  std::filesystem::path pin_file(std::string_view content, mode_t mode) const {
    const std::filesystem::path file = folder_.path() / "pin";
    std::ofstream(file, std::ios::trunc) << content;
    ::chmod(file.c_str(), mode);
    return file;
  }

  ScratchFolder folder_;
};

TEST_F(Pkcs11, GivesTheSameKeyAgain) {
  const auto key = provider(uri("master"));
  EXPECT_EQ(key->asks_for(), "PIN");
  EXPECT_EQ(key->describe(), "the key master of the token site");
  const Result<void> made = key->create(bytes_of("1234"));
  ASSERT_TRUE(made) << made.error().text;
  const Result<SecretBytes> first = key->fetch(bytes_of("1234"));
  ASSERT_TRUE(first) << first.error().text;
  EXPECT_EQ(first->size(), kMasterKeyBytes);
  EXPECT_TRUE(provider(uri("master"))->fetch(bytes_of("1234")).value().equals(*first));
  EXPECT_TRUE(key->check());
}

TEST_F(Pkcs11, OfAnotherObjectIsAnotherKey) {
  ASSERT_TRUE(provider(uri("one"))->create(bytes_of("1234")));
  ASSERT_TRUE(provider(uri("two"))->create(bytes_of("1234")));
  EXPECT_FALSE(provider(uri("one"))
                   ->fetch(bytes_of("1234"))
                   .value()
                   .equals(provider(uri("two"))->fetch(bytes_of("1234")).value()));
}

// So that a token can be replaced: the same secret key in it gives the same master key, whoever put it there.
TEST_F(Pkcs11, IsAnHmacOfAFixedText) {
  const std::string secret(32, 'k');
  put_key("known", secret, CK_TRUE);
  std::array<std::uint8_t, 32> expected{};
  const std::string text = "qkms master key 1";
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const std::uint8_t*>(text.data()),
       text.size(), expected.data(), &size);
  const Result<SecretBytes> key = provider(uri("known"))->fetch(bytes_of("1234"));
  ASSERT_TRUE(key) << key.error().text;
  EXPECT_TRUE(key->equals(SecretBytes::copy_of(expected)));
  const auto by_id = provider("pkcs11:token=site;id=%0a?module-path=" + std::string(module_path()));
  EXPECT_EQ(by_id->describe(), "the key 0a of the token site");
  EXPECT_TRUE(by_id->fetch(bytes_of("1234")).value().equals(*key));
}

TEST_F(Pkcs11, NeedsItsPin) {
  ASSERT_TRUE(provider(uri("master"))->create(bytes_of("1234")));
  expect_refusal(uri("master"), "", ErrorCode::kUnauthorised, "PIN must be typed");
  expect_refusal(uri("master"), "12345", ErrorCode::kUnauthorised, "does not take this PIN");
  expect_refusal(uri("master"), "1", ErrorCode::kUnauthorised, "does not take this PIN");
  EXPECT_TRUE(provider(uri("master"))->fetch(bytes_of("1234")));
}

TEST_F(Pkcs11, TakesThePinFromAFileThatIsClosedToOthers) {
  const std::string text = uri("master", "&pin-source=file:" + pin_file("1234\n", 0600).string());
  EXPECT_FALSE(provider(text)->needs_operator());
  ASSERT_TRUE(provider(text)->create({}));
  EXPECT_TRUE(provider(text)->fetch({}));
  EXPECT_TRUE(provider(text)->check());
  pin_file("1234\n", 0640);
  expect_refusal(text, "", ErrorCode::kInvalid, "open to its group or to others");
  EXPECT_FALSE(provider(text)->check());
  pin_file("\n", 0600);
  expect_refusal(text, "", ErrorCode::kInvalid, "is empty");
  pin_file("", 0600);
  expect_refusal(text, "", ErrorCode::kInvalid, "is empty");
  pin_file("0000", 0600);
  EXPECT_EQ(provider(text)->check().error().code, ErrorCode::kUnauthorised);
  std::filesystem::remove(folder_.path() / "pin");
  expect_refusal(text, "", ErrorCode::kNotFound, "PIN file");
}

TEST_F(Pkcs11, TakesThePinFromACredential) {
  const std::filesystem::path credentials = folder_.path() / "credentials";
  std::filesystem::create_directory(credentials);
  ::chmod(credentials.c_str(), 0700);
  std::ofstream(credentials / "pin") << "1234";
  ::chmod((credentials / "pin").c_str(), 0400);
  ::setenv("CREDENTIALS_DIRECTORY", credentials.c_str(), 1);
  const std::string text = uri("master", "&pin-source=credential:pin");
  ASSERT_TRUE(provider(text)->create({}));
  EXPECT_TRUE(provider(text)->fetch({}));
  ::unsetenv("CREDENTIALS_DIRECTORY");
  expect_refusal(text, "", ErrorCode::kNotFound, "LoadCredentialEncrypted=pin");
}

TEST_F(Pkcs11, SaysWhatIsMissing) {
  const std::string elsewhere = "pkcs11:token=elsewhere;object=o?module-path=" + std::string(module_path());
  expect_refusal(uri("none"), "1234", ErrorCode::kNotFound, "no such secret key");
  expect_refusal(elsewhere, "", ErrorCode::kNotFound, "no such token; there: site");
  expect_refusal("pkcs11:token=site;object=o?module-path=/nowhere/module.so", "1234", ErrorCode::kNotFound,
                 "/nowhere/module.so does not load");
  EXPECT_THAT(provider(elsewhere)->check().error().text, HasSubstr("no such token"));
}

TEST_F(Pkcs11, DoesNotChooseAmongSeveral) {
  pkcs11_tool("--keygen --key-type GENERIC:32 --label twice --id 01 --sensitive");
  pkcs11_tool("--keygen --key-type GENERIC:32 --label twice --id 02 --sensitive");
  expect_refusal(uri("twice"), "1234", ErrorCode::kInvalid, "add id=");
  run("softhsm2-util --init-token --free --label site --so-pin 5678 --pin 1234");
  expect_refusal(uri("twice"), "1234", ErrorCode::kInvalid, "add serial=");
}

TEST_F(Pkcs11, RefusesAKeyThatCouldLeaveTheToken) {
  pkcs11_tool("--keygen --key-type GENERIC:32 --label loose --sensitive --extractable");
  expect_refusal(uri("loose"), "1234", ErrorCode::kInvalid, "can leave the token");
  put_key("bare", std::string(32, 'k'), CK_FALSE);
  expect_refusal(uri("bare"), "1234", ErrorCode::kInvalid, "can leave the token");
}

TEST_F(Pkcs11, SaysThatAKeyIsForSomethingElse) {
  pkcs11_tool("--keygen --key-type AES:32 --label cipher --sensitive");
  expect_refusal(uri("cipher"), "1234", ErrorCode::kIo, "make an HMAC-SHA-256 under this key");
}

TEST_F(Pkcs11, IsNotMadeTwice) {
  ASSERT_TRUE(provider(uri("master"))->create(bytes_of("1234")));
  const Result<SecretBytes> before = provider(uri("master"))->fetch(bytes_of("1234"));
  EXPECT_THAT(provider(uri("master"))->create(bytes_of("1234")).error().text, HasSubstr("a key already"));
  EXPECT_EQ(provider(uri("other"))->create(bytes_of("0000")).error().code, ErrorCode::kUnauthorised);
  EXPECT_TRUE(provider(uri("master"))->fetch(bytes_of("1234")).value().equals(*before));
}

// A token knows one log-in for all of a process: one that is wrong must stay wrong beside one that is right.
TEST_F(Pkcs11, ManyAtOnceDoNotDisturbEachOther) {
  ASSERT_TRUE(provider(uri("master"))->create(bytes_of("1234")));
  const Result<SecretBytes> expected = provider(uri("master"))->fetch(bytes_of("1234"));
  std::array<int, 4> good{};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < good.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        const Result<SecretBytes> key = provider(uri("master"))->fetch(bytes_of(i == 0 ? "0000" : "1234"));
        good[i] += key && key->equals(*expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(good, testing::ElementsAre(0, 10, 10, 10));
}

TEST(Pkcs11Uri, IsRefusedWhenAPartIsMissingOrNotUnderstood) {
  const std::string module = "?module-path=/m.so";
  struct Case {
    std::string uri;
    const char* words;
  };
  const Case cases[] = {
      {"pkcs11:token=t;object=o", "needs module-path="},
      {"pkcs11:token=t;object=o?module-path=m.so", "an absolute path"},
      {"pkcs11:object=o" + module, "needs token= or serial="},
      {"pkcs11:token=;object=o" + module, "needs token= or serial="},
      {"pkcs11:token=t" + module, "needs object= or id="},
      {"pkcs11:token=t;object=" + module, "needs object= or id="},
      {"pkcs11:token=t;object=o;colour=red" + module, "not understood"},
      {"pkcs11:token=t;object=o;slot-id=1" + module, "not understood"},
      {"pkcs11:token=t;object=o;library-manufacturer=m" + module, "not understood"},
      {"pkcs11:token=t;object=o;type=private" + module, "another type than secret-key"},
      {"pkcs11:token=t;object=o" + module + "&pin-value=1234", "holds the PIN"},
      {"pkcs11:token=t;object=o" + module + "&pin-source=pin", "pin-source is file:"},
      {"pkcs11:token=t;object=o" + module + "&pin-source=file:pin", "pin-source is file:"},
      {"pkcs11:token=t;object=o" + module + "&pin-source=%7C/bin/askpin", "pin-source is file:"},
      {"pkcs11:token=%zz;object=o" + module, "no pkcs11: URI"},
      {"pkcs11:token=" + std::string(100, 't') + ";object=o" + module, "not understood"},
  };
  for (const Case& c : cases) {
    const auto made = make_pkcs11_provider(c.uri);
    ASSERT_FALSE(made) << c.uri;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(made.error().text, HasSubstr(c.words)) << c.uri;
    EXPECT_THAT(made.error().text, testing::Not(HasSubstr("1234")));
  }
  EXPECT_TRUE(make_pkcs11_provider("pkcs11:serial=1;object=o;type=secret-key" + module));
}

}  // namespace
}  // namespace qkms::storage
