// See sqlite_audit.h.
#include "storage/sqlite_audit.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace qkms::storage {
namespace {

// Rows that one commit may drop: more than one comes in, so the log shrinks, and few enough that no commit gets long.
constexpr int kMaxDropsPerCommit = 4;

void append_digits(std::string& out, std::uint64_t value, std::size_t width) {
  const std::string digits = std::to_string(value);
  out.append(width - std::min(width, digits.size()), '0');
  out += digits;
}

// RFC 3339 in UTC, with milliseconds.
std::string time_now() {
  using namespace std::chrono;
  const auto time = floor<milliseconds>(system_clock::now());
  std::string out;
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  append_digits(out, static_cast<std::uint64_t>(std::max(0, static_cast<int>(date.year()))), 4);
  for (const unsigned part : {static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day())}) {
    out += '-';
    append_digits(out, part, 2);
  }
  char before = 'T';
  for (const auto part : {clock.hours().count(), clock.minutes().count(), clock.seconds().count()}) {
    out += std::exchange(before, ':');
    append_digits(out, static_cast<std::uint64_t>(part), 2);
  }
  out += '.';
  append_digits(out, static_cast<std::uint64_t>(clock.subseconds().count()), 3);
  out += 'Z';
  return out;
}

// Each line of a row, without its end of line.
template <class Use>
void for_each_line(std::string_view lines, const Use& use) {
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size() - 1);
    use(lines.substr(0, end));
    lines.remove_prefix(end + 1);
  }
}

AuditMark mark_of_last(std::uint64_t first, std::string_view lines) {
  AuditMark mark{first - 1, {}};
  std::string_view last;
  for_each_line(lines, [&](std::string_view line) {
    ++mark.sequence;
    last = line;
  });
  mark.hash = sha256(last);
  return mark;
}

// All lines of a row.
Result<void> follow(AuditChain& chain, std::string_view lines) {
  Result<void> followed;
  for_each_line(lines, [&](std::string_view line) {
    if (followed) followed = chain.follow(line);
  });
  return followed;
}

std::unexpected<Error> cut_short() {
  return fail(ErrorCode::kCorrupt,
              "the audit log does not end where its sealed head says: it was cut, or written to by somebody else");
}

}  // namespace

AuditTable::AuditTable(Database& database, const AuditSpan& span)
    : span_(span),
      add_(database, "INSERT INTO audit VALUES (?, ?)"),
      drop_(database, "DELETE FROM audit WHERE first = ?"),
      select_oldest_(database, "SELECT first, lines FROM audit ORDER BY first LIMIT 1"),
      select_newest_(database, "SELECT first, lines FROM audit ORDER BY first DESC LIMIT 1"),
      select_from_(database,
                   "SELECT first, lines FROM audit WHERE first >= "
                   "coalesce((SELECT max(first) FROM audit WHERE first <= ?), 0) ORDER BY first") {}

Result<void> AuditTable::check_ends() {
  AuditMark newest = span_.before_first;
  const auto look = [&](Statement& row) -> Result<bool> {
    newest = mark_of_last(row.number(0), row.text(1));
    return false;
  };
  if (Result<void> looked = select_newest_.for_each(look); !looked) return looked;
  if (newest != span_.last) return cut_short();
  return select_oldest_.for_each([this](Statement& row) -> Result<bool> {
    AuditChain chain(span_.before_first);
    if (Result<void> followed = follow(chain, row.text(1)); !followed) return std::unexpected(followed.error());
    return false;
  });
}

Result<void> AuditTable::append(const KmeId& node, const std::vector<api::AuditRecord>& records) {
  if (records.empty()) return {};
  const std::uint64_t first = span_.last.sequence + 1;
  const std::string now = time_now();
  std::string lines;
  for (const api::AuditRecord& record : records) {
    const std::string line = api::audit_line({span_.last.sequence + 1, now, node.str(), span_.last.hash}, record);
    span_.last = {span_.last.sequence + 1, sha256(line)};
    lines += line;
    lines += '\n';
  }
  span_.bytes += lines.size();
  if (Result<void> added = add_.run(first, std::string_view(lines)); !added) return added;
  for (int i = 0; i < kMaxDropsPerCommit && span_.bytes > keep_bytes_; ++i) {
    if (Result<void> dropped = drop_oldest(); !dropped) return dropped;
  }
  return {};
}

Result<void> AuditTable::drop_oldest() {
  std::uint64_t first = 0;
  const auto take = [&](Statement& row) -> Result<bool> {
    AuditChain chain(span_.before_first);
    if (Result<void> followed = follow(chain, row.text(1)); !followed) return std::unexpected(followed.error());
    if (chain.last().sequence == span_.last.sequence) return false;  // what this commit adds stays
    first = row.number(0);
    span_.before_first = chain.last();
    span_.bytes -= std::min<std::uint64_t>(span_.bytes, row.text(1).size());
    return false;
  };
  if (Result<void> found = select_oldest_.for_each(take); !found) return found;
  return first == 0 ? Result<void>{} : drop_.run(first);
}

Result<AuditPage> AuditTable::read(std::uint64_t first, std::size_t bytes) {
  AuditPage page;
  page.before_first = span_.before_first;
  page.last = span_.last;
  std::size_t size = 0;
  const auto take = [&](Statement& row) -> Result<bool> {
    std::uint64_t number = row.number(0);
    for_each_line(row.text(1), [&](std::string_view line) {
      if (number++ < first) return;
      page.lines.emplace_back(line);
      size += line.size();
    });
    return size < bytes;
  };
  if (Result<void> read = select_from_.for_each(take, first); !read) return std::unexpected(read.error());
  return page;
}

Result<std::uint64_t> AuditTable::verify() {
  AuditChain chain(span_.before_first);
  const auto take = [&](Statement& row) -> Result<bool> {
    if (Result<void> followed = follow(chain, row.text(1)); !followed) return std::unexpected(followed.error());
    return true;
  };
  if (Result<void> walked = select_from_.for_each(take, std::uint64_t{0}); !walked)
    return std::unexpected(walked.error());
  if (chain.last() != span_.last) return cut_short();
  return span_.last.sequence - span_.before_first.sequence;
}

}  // namespace qkms::storage
