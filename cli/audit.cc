#include "cli/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

#include "api/json_reader.h"
#include "base/text.h"
#include "storage/audit_chain.h"

namespace qkms::cli {
namespace {

using api::JsonObject;

// What /audit answers: lines, and the mark of the log's end.
struct Page {
  std::vector<std::string> lines;
  std::uint64_t end = 0;
  std::string end_hash;
};

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
  Page page{lines_of(*answer), 0, ""};
  if (page.lines.empty()) return fail(ErrorCode::kCorrupt, "the daemon's answer is no page of an audit log");
  const auto mark = api::read_json(page.lines.back());
  page.lines.pop_back();
  const auto* object = mark ? mark->get<JsonObject>() : nullptr;
  const auto* end = object == nullptr ? nullptr : api::find_member(*object, "end");
  const auto* hash = object == nullptr ? nullptr : api::find_member(*object, "hash");
  if (end == nullptr || hash == nullptr || end->get<std::int64_t>() == nullptr || hash->get<std::string>() == nullptr)
    return fail(ErrorCode::kCorrupt, "the daemon's answer is no page of an audit log");
  page.end = static_cast<std::uint64_t>(*end->get<std::int64_t>());
  page.end_hash = *hash->get<std::string>();
  return page;
}

// Every record from `first` on to the end that the log had when it was reached. Returns the last page.
Result<Page> for_each_record(const AskDaemon& ask, std::uint64_t first,
                             const std::function<Result<void>(const std::string&)>& use) {
  for (;;) {
    auto page = page_from(ask, first);
    if (!page) return page;
    for (const std::string& line : page->lines) {
      if (const auto used = use(line); !used) return std::unexpected(used.error());
      const auto place = api::place_of_audit_line(line);
      if (!place) return std::unexpected(place.error());
      first = place->sequence + 1;
    }
    if (page->lines.empty() || first > page->end) return page;
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
  const auto read = for_each_record(ask, end->end > *lines ? end->end - *lines + 1 : 1, keep);
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

  Result<void> follow(const std::string& line) {
    if (const auto followed = chain.follow(line); !followed) return followed;
    if (records++ == 0) first = chain.last().sequence;
    return {};
  }
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
  const bool whole = last->end == counted.chain.last().sequence && last->end_hash == to_hex(counted.chain.last().hash);
  if (!whole && last->end > 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("the audit log ends at record {}, its sealed head says {}: it was cut",
                                                 counted.chain.last().sequence, last->end));
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
