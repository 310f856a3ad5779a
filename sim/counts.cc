#include "sim/counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>

#include "kms/event.h"

namespace qkms::sim {
namespace {

constexpr std::array kThingNames = {
#define X(constant, text) text,
    QKMS_SIM_COUNTS(X)
#undef X
};
static_assert(kms::kNoticeKinds <= kMaxNoticeKinds);

constexpr std::array<const char*, kMessageKinds> kMessageNames = {
    "block_offer",    "block_accept", "block_reject", "assign", "assign_refuse", "void",
    "extent_request", "extent_give",  "burn",         "hello",  "heartbeat"};
constexpr std::array kCallNames = {"status", "get_key", "fetch"};
constexpr std::array<const char*, kAnswerKinds> kAnswerNames = {"keys",  "status", "invalid", "denied", "not_found",
                                                                "unmet", "retry",  "limited", "short",  "unknown"};

template <class Array>
void add_up(Array& into, const Array& from) {
  std::ranges::transform(into, from, into.begin(), std::plus());
}

void print_line(const std::string& title, const std::string& line) { fmt::print("{:<9}{}\n", title, line); }

}  // namespace

void Counts::add(const Counts& other) {
  add_up(things, other.things);
  add_up(messages, other.messages);
  add_up(answers, other.answers);
  add_up(notices, other.notices);
}

void print(const Counts& counts) {
  std::string line;
  for (std::size_t i = 0; i < kThingNames.size(); ++i) line += fmt::format(" {}={}", kThingNames[i], counts.things[i]);
  print_line("things", line);
  line.clear();
  for (std::size_t i = 0; i < kMessageKinds; ++i) line += fmt::format(" {}={}", kMessageNames[i], counts.messages[i]);
  print_line("messages", line);
  line.clear();
  for (std::size_t i = 0; i < counts.answers.size(); ++i) {
    if (counts.answers[i] > 0)
      line += fmt::format(" {}:{}={}", kCallNames[i / kAnswerKinds], kAnswerNames[i % kAnswerKinds], counts.answers[i]);
  }
  print_line("answers", line);
  line.clear();
  for (std::size_t i = 0; i < kms::kNoticeKinds; ++i) {
    line += fmt::format(" {}={}", kms::name_of(static_cast<kms::NoticeKind>(i)), counts.notices[i]);
  }
  print_line("notices", line);
}

}  // namespace qkms::sim
