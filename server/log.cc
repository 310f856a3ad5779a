#include "server/log.h"

#include <fmt/chrono.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>

#include "api/json_writer.h"
#include "server/line_writer.h"

namespace qkms::server {
namespace {

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto since_epoch = message.time.time_since_epoch();
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
    const std::time_t seconds = static_cast<std::time_t>(milliseconds / 1000);
    std::string line =
        fmt::format("{{\"time\":\"{:%Y-%m-%dT%H:%M:%S}.{:03}Z\",\"level\":", fmt::gmtime(seconds), milliseconds % 1000);
    const auto level = spdlog::level::to_string_view(message.level);
    api::append_json_string(line, {level.data(), level.size()});
    line += ",\"message\":";
    api::append_json_string(line, {message.payload.data(), message.payload.size()});
    line += "}\n";
    out.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

std::string line_about(std::uint64_t lost) {
  const std::string text = fmt::format("{} lines of this log are lost: nobody took them", lost);
  spdlog::memory_buf_t line;
  JsonFormatter().format({spdlog::log_clock::now(), {}, "qkmsd", spdlog::level::warn, text}, line);
  return {line.data(), line.size()};
}

class Sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Sink() : spdlog::sinks::base_sink<std::mutex>(std::make_unique<JsonFormatter>()) {}

  void write_waiting() { flush(); }
  void finish() {
    const std::lock_guard lock(mutex_);
    writer_.finish(std::chrono::seconds(1));
  }
  std::uint64_t lost() const { return writer_.lost(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    writer_.write({line.data(), line.size()});
  }
  void flush_() override { writer_.write_waiting(); }

 private:
  LineWriter writer_{STDERR_FILENO, line_about};
};

// Before start_log() there is nothing to write.
Sink& sink() {
  static Sink* const only = new Sink;
  return *only;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void start_log(LogLevel level) {
  // The sink is never destroyed: other threads may log until the very end.
  auto logger = std::make_shared<spdlog::logger>("qkmsd", std::shared_ptr<Sink>(&sink(), [](Sink*) {}));
  logger->set_level(to_spdlog(level));
  spdlog::set_default_logger(std::move(logger));
}

void write_waiting_log() { sink().write_waiting(); }
void finish_log() { sink().finish(); }
std::uint64_t log_lines_lost() { return sink().lost(); }

void set_log_level(LogLevel level) { spdlog::default_logger()->set_level(to_spdlog(level)); }

}  // namespace qkms::server
