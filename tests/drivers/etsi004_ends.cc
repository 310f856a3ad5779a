// Both ends of a link with real drivers under real supervisors, for etsi004_test.py: each end talks to the device that
// it is told, their notes go to each other, and what they let in is written to standard output as an ID and a digest.
//
//   etsi004_ends FOLDER PORT NAME=VALUE...    FOLDER has client.crt, client.key and ca.crt
//
// Commands on standard input: start END, stop END, status END, probe END, deaf END, hearing END; END is a or b.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <csignal>

#include <array>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/text.h"
#include "drivers/etsi004/etsi004.h"
#include "drivers/supervisor.h"

namespace {

using namespace qkms;
using namespace qkms::drivers;
using Options = std::map<std::string, std::string>;

std::mutex writing;

void write_line(const std::string& line) {
  const std::lock_guard lock(writing);
  std::cout << line << std::endl;
}

std::string digest_of(const SecretBytes& bits) {
  std::array<std::uint8_t, 32> digest{};
  if (EVP_Digest(bits.reveal().data(), bits.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) std::abort();
  return to_hex(digest);
}

class Ends final : public BlockSink {
 public:
  Ends(std::string folder, std::uint16_t port, Options options)
      : folder_(std::move(folder)), port_(port), options_(std::move(options)) {}

  void start(const std::string& end) {
    SupervisorSettings settings{.link = link(end), .silence_ms = 0, .first_pause_ms = 10, .longest_pause_ms = 50};
    auto made = std::make_shared<LinkSupervisor>(
        settings, make_etsi004_driver(LinkId::parse("a-b").value(), driver_settings(end)), *this);
    {
      const std::lock_guard lock(mutex_);
      running_[end] = made;
    }
    made->start();
  }
  void stop(const std::string& end) {
    std::shared_ptr<LinkSupervisor> gone;
    {
      const std::lock_guard lock(mutex_);
      gone = std::exchange(running_[end], nullptr);
    }
    if (gone == nullptr) return;
    gone->stop();
    write_line(fmt::format("{} stopped {}", end, name_of(gone->status().state)));
  }
  void set_deaf(const std::string& end, std::string value) {
    const std::lock_guard lock(mutex_);
    options_["deaf-" + end] = std::move(value);
  }
  void show_status(const std::string& end) {
    const auto one = running(end);
    if (one == nullptr) return;
    const LinkStatus status = one->status();
    std::string text = fmt::format("{} status restarts={} rejected={} quarantined={}", end, status.restarts,
                                   status.rejected, status.quarantined);
    for (const auto& [alarm, why] : status.alarms) text += fmt::format(" | {}: {}", name_of(alarm), why);
    for (const Incident& incident : status.incidents) text += fmt::format(" | incident: {}", incident.text);
    write_line(text);
  }
  void probe(const std::string& end) {
    const auto one = running(end);
    if (one == nullptr) return;
    const auto said = one->probe();
    write_line(fmt::format("{} probe {}", end, said ? *said : "error: " + said.error().text));
  }

  Result<void> offer(const LinkId& link, Block& block) override {
    write_line(
        fmt::format("{} block {} {} {}", link.str(), to_string(block.id), digest_of(block.bits), block.bits.size()));
    return {};
  }
  void tell_twin(const LinkId& link, std::string note) override {
    const std::string other = link.str() == "a" ? "b" : "a";
    const auto one = running(other);
    if (one != nullptr && option("deaf-" + other, "") != "yes") one->hear(std::move(note));
  }
  void quarantined(const LinkId& link, const BlockId& block, std::size_t, const std::string& why) override {
    write_line(fmt::format("{} quarantined {} {}", link.str(), to_string(block), why));
  }

 private:
  static LinkId link(const std::string& end) { return LinkId::parse(end).value(); }
  std::shared_ptr<LinkSupervisor> running(const std::string& end) {
    const std::lock_guard lock(mutex_);
    return running_[end];
  }
  std::string option(const std::string& name, const std::string& otherwise) {
    const std::lock_guard lock(mutex_);
    const auto at = options_.find(name);
    return at == options_.end() ? otherwise : at->second;
  }
  std::uint32_t number(const std::string& name, std::uint32_t otherwise) {
    return static_cast<std::uint32_t>(std::stoul(option(name, std::to_string(otherwise))));
  }

  Etsi004Settings driver_settings(const std::string& end) {
    Etsi004Settings settings;
    settings.tls.host = "127.0.0.1";
    settings.tls.port = port_;
    settings.tls.server_name = option("name", "device.test");
    settings.tls.certificate = folder_ + "/client.crt";
    settings.tls.key = folder_ + "/client.key";
    settings.tls.ca = folder_ + "/ca.crt";
    settings.dialect = option("dialect", "") == "etsi-c" ? etsi004::Dialect::kEtsiC : etsi004::Dialect::kFixedMime;
    settings.source = "qkd://site/" + end;
    settings.destination = "qkd://site/" + std::string(end == "a" ? "b" : "a");
    settings.end = end == "a" ? StreamEnd::kOpens : StreamEnd::kJoins;
    if (option("stream", "given") == "given") settings.stream = etsi004::StreamId{1, 2, 3, 4, 5};
    settings.qos.chunk_bytes = number("chunk", 64);
    settings.qos.timeout_ms = number("timeout", 100);
    settings.qos.min_bps = number("min", 0);
    settings.least_bps = number("least", 0);
    settings.poll_ms = 20;
    settings.answer_ms = number("answer", 500);
    settings.direct = option("direct", "") == "yes";
    return settings;
  }

  const std::string folder_;
  const std::uint16_t port_;
  std::mutex mutex_;
  Options options_;
  std::map<std::string, std::shared_ptr<LinkSupervisor>> running_;
};

}  // namespace

int main(int count, char** words) {
  if (count < 3) return EXIT_FAILURE;
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  for (int i = 3; i < count; ++i) {
    const std::string word = words[i];
    options[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  }
  Ends ends(words[1], static_cast<std::uint16_t>(std::stoul(words[2])), options);
  for (std::string command, end; std::cin >> command >> end;) {
    if (command == "start") ends.start(end);
    if (command == "stop") ends.stop(end);
    if (command == "status") ends.show_status(end);
    if (command == "probe") ends.probe(end);
    if (command == "deaf") ends.set_deaf(end, "yes");
    if (command == "hearing") ends.set_deaf(end, "no");
  }
  ends.stop("a");
  ends.stop("b");
  return EXIT_SUCCESS;
}
