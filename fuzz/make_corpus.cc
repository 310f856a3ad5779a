// Writes the committed seeds of the fuzzers, small files with telling names: make_corpus <folder>. Run it again when a
// message changes.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "api/peer/codec.h"
#include "api/peer/samples.h"

namespace {

using namespace std::string_literals;
namespace samples = qkms::api::samples;

bool failed = false;

void write_seed(const std::filesystem::path& folder, std::string name, const std::string& bytes) {
  for (char& c : name) c = c == ' ' ? '_' : c;
  std::filesystem::create_directories(folder);
  std::ofstream file(folder / name, std::ios::binary);
  file << bytes;
  failed = failed || !file.flush();
}

void write_peer_frames(const std::filesystem::path& folder) {
  for (const auto& [name, frame] : samples::every_kind()) {
    write_seed(folder, name, qkms::api::encode(frame));
    const auto* numbered = std::get_if<qkms::api::Numbered>(&frame.body);
    if (numbered != nullptr) write_seed(folder, name + " alone", qkms::api::encode_message(numbered->message));
  }
  const std::string frame = qkms::api::encode(samples::numbered(samples::assign()));
  write_seed(folder, "cut off", frame.substr(0, frame.size() / 2));
  write_seed(folder, "later version", frame + "\xa2\x06\x03new");
  write_seed(folder, "open group", "\x0b\x0b\x0b");
}

constexpr const char* kUuid = "0189b6c2-5a1e-4f3d-8c7b-001122334455";

void write_json_bodies(const std::filesystem::path& folder) {
  const std::string id = R"({"key_ID":")"s + kUuid + "\"}";
  const std::pair<const char*, std::string> seeds[] = {
      {"empty object", "{}"},
      {"key request", R"({"number":3,"size":1024,"additional_slave_SAE_IDs":["SAE-C","SAE-D"]})"},
      {"mandatory extension", R"({"extension_mandatory":[{"acme_route":"direct"}]})"},
      {"optional extension", R"({"extension_optional":[{"acme_age":30000},{}],"extension_mandatory":[]})"},
      {"nulls", R"({"number":null,"size":null,"additional_slave_SAE_IDs":null})"},
      {"other numbers", R"({"a":1.0,"b":1e400,"c":-0,"d":9223372036854775808,"number":-1})"},
      {"escapes", R"({"additional_slave_SAE_IDs":["\u0041\n\"\\\/","\ud83d\ude00"]})"},
      {"lone surrogate", R"({"x":"\ud800"})"},
      {"escaped NUL", R"({"x":"\u0000"})"},
      {"raw UTF-8", "{\"x\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
      {"overlong UTF-8", "{\"x\":\"\xc0\xaf\"}"},
      {"byte order mark", "\xef\xbb\xbf{}"},
      {"duplicate member", R"({"number":1,"n\u0075mber":2})"},
      {"deep", std::string(17, '[') + std::string(17, ']')},
      {"leading zero", R"({"number":01})"},
      {"comment", "{} // x"},
      {"key IDs",
       R"({"key_IDs":[)" + id + R"(,{"key_ID":"FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF","key_ID_extension":{}}]})"},
      {"key ID twice", R"({"key_IDs":[)" + id + "," + id + "]}"},
      {"bare key ID", R"({"key_IDs":[")"s + kUuid + "\"]}"},
      {"braced key ID", R"({"key_IDs":[{"key_ID":"{)"s + kUuid + "}\"}]}"},
      {"no key IDs", R"({"key_IDs":[],"key_IDs_extension":{}})"},
  };
  for (const auto& [name, json] : seeds) write_seed(folder, name, json);
}

void write_targets(const std::filesystem::path& folder) {
  const std::pair<const char*, std::string> seeds[] = {
      {"status", "/api/v1/keys/SAE-B/status"},
      {"enc keys", "/api/v1/keys/SAE-B/enc_keys?number=3&size=1024"},
      {"dec keys", "/api/v1/keys/SAE-A/dec_keys?key_ID="s + kUuid},
      {"absolute form", "https://kme.example:8443/api/v1/keys/SAE-B/status"},
      {"authority form", "kme.example:443"},
      {"asterisk form", "*"},
      {"encoded slash", "/api/v1/keys/a%2Fb/status"},
      {"encoded dots", "/api/v1/keys/%2e%2e/status"},
      {"encoded NUL", "/api/v1/keys/a%00b/status"},
      {"overlong slash", "/api/v1/keys/%c0%af/status"},
      {"bad escape", "/api/v1/keys/a%zz/status"},
      {"short escape", "/api/v1/keys/a%2"},
      {"path parameter", "/api/v1/keys/SAE;x=1/status"},
      {"raw blank", "/api/v1/keys/a b/status"},
      {"raw full width", "/api/v1/keys/\xef\xbc\x8a/status"},
      {"right to left", "/api/v1/keys/%E2%80%AE/status"},
      {"empty ID", "/api/v1/keys//status"},
      {"double slash", "/api//v1/keys/A/status"},
      {"upper case", "/API/V1/keys/A/status"},
      {"fragment", "/api/v1/keys/A/status#frag"},
      {"duplicate parameter", "/api/v1/keys/A/enc_keys?number=1&n%75mber=9"},
      {"plus", "/api/v1/keys/A/enc_keys?number=+1"},
      {"post only", "/api/v1/keys/A/enc_keys?extension_mandatory=x&additional_slave_SAE_IDs=B"},
      {"empty parts", "/api/v1/keys/A/enc_keys?&&=&x&number=%31%30"},
  };
  for (const auto& [name, text] : seeds) write_seed(folder, name, text);
}

// The first byte says how large the pieces are, in which the rest comes.
void write_http_requests(const std::filesystem::path& folder) {
  const std::string host = "Host: h\r\n";
  const std::pair<const char*, std::string> seeds[] = {
      {"get", "GET /a HTTP/1.1\r\n" + host + "\r\n"},
      {"two pipelined", "GET /a HTTP/1.1\r\n" + host + "\r\nGET /b HTTP/1.1\r\n" + host + "\r\n"},
      {"length", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\n{}GET /b HTTP/1.1\r\n" + host + "\r\n"},
      {"chunked",
       "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: x\r\n\r\n"},
      {"empty chunked", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"both", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"two lengths", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
      {"folded", "GET /a HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n"},
      {"1.0", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n"},
      {"continue", "POST /a HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"},
      {"empty lines in front", "\r\n\r\nGET /a HTTP/1.1\r\n" + host + "\r\n"},
      {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"two encodings", "POST /a HTTP/1.1\r\n" + host + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n"},
  };
  for (const auto& [name, text] : seeds) write_seed(folder, name, '\6' + text);
}

// The first byte chooses the dialect and the answer; then a header; then its payload.
void write_etsi004(const std::filesystem::path& folder) {
  const std::string qos = "\0\0\0\x40\0\0\x03\xe8\0\0\x01\0\0\0\0\1\0\0\0\2\0\0\x13\x88\0\0\0\x3c"s;
  const std::string stream = "0123456789abcdef", mimetype = "application/json";
  const std::string fixed = mimetype + std::string(240, '\0');
  const std::pair<const char*, std::string> seeds[] = {
      {"open etsi-c", "\0\1\0\1\3\0\0\0\x41\0\0\0\0"s + qos + mimetype + '\0' + stream},
      {"open fixed-mime", "\1\1\0\1\3\0\0\1\x30\0\0\0\7"s + qos + fixed + stream},
      {"open refused", "\1\1\0\1\3\0\0\0\4\0\0\0\5"s},
      {"get", "\2\1\0\1\5\0\0\0\x16\0\0\0\0\0\0\0\7\0\0\0\4\1\2\3\4\0\0\0\2{}"s},
      {"get without metadata", "\3\1\0\1\5\0\0\0\x11\0\0\0\0\0\0\0\7\0\0\0\1x\0\0\0\0"s},
      {"needs room etsi-c", "\2\1\0\1\5\0\0\0\x10\0\0\0\x08\0\0\0\7\0\0\0\0\0\0\4\0"s},
      {"needs room fixed-mime", "\3\1\0\1\5\0\0\0\x08\0\0\0\x08\0\0\4\0"s},
      {"get that lies", "\2\1\0\1\5\xff\xff\xff\xff\0\0\0\0\0\0\0\7\x80\0\0\0"s},
      {"close", "\4\1\0\1\x09\0\0\0\4\0\0\0\0"s},
      {"error message", "\2\1\0\1\0\0\0\0\4\0\0\0\1"s},
      {"note", "\1\1"s + stream},
  };
  for (const auto& [name, text] : seeds) write_seed(folder, name, text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_corpus <folder>\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  write_peer_frames(folder / "fuzz_peer_frame");
  write_json_bodies(folder / "fuzz_json_bodies");
  write_targets(folder / "fuzz_target");
  write_http_requests(folder / "fuzz_http_request");
  write_etsi004(folder / "fuzz_etsi004");
  if (failed) std::fprintf(stderr, "make_corpus: not everything could be written\n");
  return failed ? 1 : 0;
}
