#include "cli/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "api/json_reader.h"
#include "base/text.h"
#include "storage/audit_chain.h"

namespace qkms::cli {
namespace {

using api::JsonObject;

// The number of a record and its hash, in hexadecimal digits.
struct Mark {
  std::uint64_t number = 0;
  std::string hash;
  bool operator==(const Mark&) const = default;
};

// What /audit answers: lines, the mark of the log's last record, and that of the one after which the log begins.
struct Page {
  std::vector<std::string> lines;
  Mark end, after;
};

std::optional<Mark> mark_in(const JsonObject& object, std::string_view number, std::string_view hash) {
  const auto* const found_number = api::find_member(object, number);
  const auto* const found_hash = api::find_member(object, hash);
  if (found_number == nullptr || found_hash == nullptr) return std::nullopt;
  const auto* const value = found_number->get<std::int64_t>();
  const auto* const digits = found_hash->get<std::string>();
  if (value == nullptr || digits == nullptr) return std::nullopt;
  return Mark{static_cast<std::uint64_t>(*value), *digits};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Result<Page> page_from(const AskDaemon& ask, std::uint64_t first) {
  const auto answer = ask(fmt::format("/audit?from={}", first));
  if (!answer) return std::unexpected(answer.error());
  Page page{lines_of(*answer), {}, {}};
  if (page.lines.empty()) return fail(ErrorCode::kCorrupt, "the daemon's answer is no page of an audit log");
  const auto mark = api::read_json(page.lines.back());
  page.lines.pop_back();
  const auto* object = mark ? mark->get<JsonObject>() : nullptr;
  const auto end = object == nullptr ? std::nullopt : mark_in(*object, "end", "hash");
  const auto after = object == nullptr ? std::nullopt : mark_in(*object, "after", "after_hash");
  if (!end || !after) return fail(ErrorCode::kCorrupt, "the daemon's answer is no page of an audit log");
  page.end = *end;
  page.after = *after;
  return page;
}

// Every record from `first` on to the end that the log had when it was reached. Returns the last page, but with the
// beginning that the log had on the first one.
Result<Page> for_each_record(const AskDaemon& ask, std::uint64_t first,
                             const std::function<Result<void>(const std::string&)>& use) {
  std::optional<Mark> after;
  for (;;) {
    auto page = page_from(ask, first);
    if (!page) return page;
    page->after = after.emplace(after.value_or(page->after));
    for (const std::string& line : page->lines) {
      if (const auto used = use(line); !used) return std::unexpected(used.error());
      const auto place = api::place_of_audit_line(line);
      if (!place) return std::unexpected(place.error());
      first = place->sequence + 1;
    }
    if (page->lines.empty() || first > page->end.number) return page;
  }
}

Result<std::uint64_t> number_of(const Arguments& arguments, std::string_view option, std::uint64_t otherwise) {
  if (!arguments.has(option)) return otherwise;
  const std::string text = arguments.one(option);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number > 0) return number;
  return fail(ErrorCode::kInvalid, fmt::format("{} takes a number from 1", option));
}

Result<void> print(const std::string& line) {
  fmt::print("{}\n", line);
  return {};
}

Result<void> tail(const Arguments& arguments, const AskDaemon& ask) {
  const auto lines = number_of(arguments, "--lines", 10);
  if (!lines) return std::unexpected(lines.error());
  const auto end = page_from(ask, INT64_MAX);
  if (!end) return std::unexpected(end.error());
  std::deque<std::string> last;  // the log may grow while it is read
  const auto keep = [&](const std::string& line) -> Result<void> {
    last.push_back(line);
    if (last.size() > *lines) last.pop_front();
    return {};
  };
  const auto read = for_each_record(ask, end->end.number > *lines ? end->end.number - *lines + 1 : 1, keep);
  if (!read) return std::unexpected(read.error());
  for (const std::string& line : last) fmt::print("{}\n", line);
  return {};
}

Result<void> export_all(const Arguments& arguments, const AskDaemon& ask) {
  const auto first = number_of(arguments, "--from", 1);
  if (!first) return std::unexpected(first.error());
  const auto printed = for_each_record(ask, *first, print);
  return printed ? Result<void>{} : std::unexpected(printed.error());
}

// --- verify

struct Counted {
  storage::AuditChain chain;
  std::uint64_t first = 0, records = 0;
  std::string before_first;  // the hash that the first one names

  Result<void> follow(const std::string& line) {
    if (const auto followed = chain.follow(line); !followed) return followed;
    if (records++ > 0) return {};
    first = chain.last().sequence;
    before_first = to_hex(api::place_of_audit_line(line)->previous);
    return {};
  }
  Mark last() const { return {chain.last().sequence, to_hex(chain.last().hash)}; }
  void report(std::string_view what) const {
    fmt::print("{}: {} records, {} to {}, each follows the one before it\nsha256 of the last one: {}\n", what, records,
               first, chain.last().sequence, to_hex(chain.last().hash));
    if (first > 1) fmt::print("those before {} are not here; keep the export that has them\n", first);
  }
};

Result<void> verify_file(const std::string& file) {
  std::ifstream in(file);
  if (!in) return fail(ErrorCode::kIo, fmt::format("cannot read {}", file));
  Counted counted;
  for (std::string line; std::getline(in, line);) {
    if (const auto followed = counted.follow(line); !followed) return followed;
  }
  if (counted.records == 0) return fail(ErrorCode::kCorrupt, fmt::format("{} has no record", file));
  counted.report(file);
  return {};
}

Result<void> verify(const Arguments& arguments, const AskDaemon& ask) {
  if (arguments.has("--file")) return verify_file(arguments.one("--file"));
  Counted counted;
  const auto last = for_each_record(ask, 1, [&](const std::string& line) { return counted.follow(line); });
  if (!last) return std::unexpected(last.error());
  if (counted.records > 0 && Mark{counted.first - 1, counted.before_first} != last->after) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("the audit log begins with record {}, which does not follow record {}, the last one that "
                            "its sealed head knows to be dropped: it was cut",
                            counted.first, last->after.number));
  }
  const Mark end = counted.records > 0 ? counted.last() : last->after;
  if (end != last->end) {
    return fail(ErrorCode::kCorrupt, fmt::format("the audit log ends at record {}, its sealed head says {}: it was cut",
                                                 end.number, last->end.number));
  }
  counted.report("the daemon's audit log");
  return {};
}

}  // namespace

Result<void> audit(const Arguments& arguments, const AskDaemon& ask) {
  const std::string& what = arguments.positional.front();
  if (what == "tail") return tail(arguments, ask);
  if (what == "export") return export_all(arguments, ask);
  if (what == "verify") return verify(arguments, ask);
  return fail(ErrorCode::kInvalid, fmt::format("\"{}\" is none of: tail, export, verify", printable(what)));
}

}  // namespace qkms::cli
