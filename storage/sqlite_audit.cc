// See sqlite_audit.h.
#include "storage/sqlite_audit.h"

#include <algorithm>
#include <chrono>
#include <ranges>

namespace qkms::storage {
namespace {

constexpr std::size_t kMarkBytes = 8 + 32;
constexpr std::size_t kHeadBytes = 2 * kMarkBytes + 8;
// Rows that one commit may drop: more than one comes in, so the log shrinks, and few enough that no commit gets long.
constexpr int kMaxDropsPerCommit = 4;

const AssociatedData& place_of_head() {
  static const AssociatedData place("audit_head");
  return place;
}

std::int64_t wall_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

void put_number(std::span<std::uint8_t>& out, std::uint64_t number) {
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  out = out.subspan(8);
}

std::uint64_t take_number(std::span<const std::uint8_t>& in) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | in[i];
  in = in.subspan(8);
  return number;
}

void put_mark(std::span<std::uint8_t>& out, const AuditMark& mark) {
  put_number(out, mark.sequence);
  std::ranges::copy(mark.hash, out.begin());
  out = out.subspan(mark.hash.size());
}

AuditMark take_mark(std::span<const std::uint8_t>& in) {
  AuditMark mark;
  mark.sequence = take_number(in);
  std::ranges::copy(in.first(mark.hash.size()), mark.hash.begin());
  in = in.subspan(mark.hash.size());
  return mark;
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

std::unexpected<Error> cut_short() {
  return fail(ErrorCode::kCorrupt,
              "the audit log does not end where its sealed head says: it was cut, or written to by somebody else");
}

}  // namespace

AuditTable::AuditTable(const TableContext& context)
    : sealer_(context.sealer),
      keep_bytes_(kDefaultAuditBytes),
      add_(context.database, "INSERT INTO audit VALUES (?, ?)"),
      drop_(context.database, "DELETE FROM audit WHERE first = ?"),
      select_oldest_(context.database, "SELECT first, lines FROM audit ORDER BY first LIMIT 1"),
      select_newest_(context.database, "SELECT first, lines FROM audit ORDER BY first DESC LIMIT 1"),
      select_from_(context.database,
                   "SELECT first, lines FROM audit WHERE first >= "
                   "coalesce((SELECT max(first) FROM audit WHERE first <= ?), 0) ORDER BY first"),
      put_head_(context.database, "INSERT OR REPLACE INTO audit_head VALUES (1, ?)"),
      select_node_(context.database, "SELECT one FROM node"),
      select_head_(context.database, "SELECT seal FROM audit_head WHERE one = 1") {}

Result<void> AuditTable::load() {
  bool found = false;
  const auto take = [&](Statement& row) -> Result<bool> {
    const Result<SecretBytes> opened = sealer_.open(place_of_head(), row.blob(0));
    if (!opened || opened->size() != kHeadBytes) return fail(ErrorCode::kCorrupt, "the audit log's head is damaged");
    std::span<const std::uint8_t> in = opened->reveal();
    head_.before_first = take_mark(in);
    head_.last = take_mark(in);
    head_.bytes = take_number(in);
    found = true;
    return false;
  };
  if (Result<void> loaded = select_head_.for_each(take); !loaded) return loaded;
  AuditMark newest = head_.before_first;
  const auto look = [&](Statement& row) -> Result<bool> {
    newest = mark_of_last(row.number(0), row.text(1));
    return false;
  };
  if (Result<void> looked = select_newest_.for_each(look); !looked) return looked;
  if (newest != head_.last) return cut_short();
  return found ? Result<void>{} : begin();
}

// Only a store that is nobody's yet may be without a head: else the log was taken away with it.
Result<void> AuditTable::begin() {
  bool is_new = true;
  const auto take = [&](Statement&) -> Result<bool> {
    is_new = false;
    return false;
  };
  if (Result<void> looked = select_node_.for_each(take); !looked) return looked;
  if (!is_new) return fail(ErrorCode::kCorrupt, "the audit log's head is gone");
  return store_head();
}

Result<void> AuditTable::store_head() {
  std::array<std::uint8_t, kHeadBytes> clear;
  std::span<std::uint8_t> out = clear;
  put_mark(out, head_.before_first);
  put_mark(out, head_.last);
  put_number(out, head_.bytes);
  const Result<Sealed> seal = sealer_.seal(place_of_head(), clear);
  if (!seal) return std::unexpected(seal.error());
  return put_head_.run(std::span(*seal));
}

Result<void> AuditTable::append(const KmeId& node, const std::vector<api::AuditRecord>& records) {
  if (records.empty()) return {};
  const std::uint64_t first = head_.last.sequence + 1;
  const std::int64_t now = wall_ms();
  std::string lines;
  for (const api::AuditRecord& record : records) {
    const std::string line = api::audit_line({head_.last.sequence + 1, now, node.str(), head_.last.hash}, record);
    head_.last = {head_.last.sequence + 1, sha256(line)};
    lines += line;
    lines += '\n';
  }
  head_.bytes += lines.size();
  if (Result<void> added = add_.run(first, std::string_view(lines)); !added) return added;
  for (int i = 0; i < kMaxDropsPerCommit && head_.bytes > keep_bytes_; ++i) {
    if (Result<void> dropped = drop_oldest(); !dropped) return dropped;
  }
  return store_head();
}

Result<void> AuditTable::drop_oldest() {
  std::uint64_t first = 0;
  const auto take = [&](Statement& row) -> Result<bool> {
    const AuditMark mark = mark_of_last(row.number(0), row.text(1));
    if (mark.sequence == head_.last.sequence) return false;  // what this commit adds stays
    first = row.number(0);
    head_.before_first = mark;
    head_.bytes -= std::min<std::uint64_t>(head_.bytes, row.text(1).size());
    return false;
  };
  if (Result<void> found = select_oldest_.for_each(take); !found) return found;
  return first == 0 ? Result<void>{} : drop_.run(first);
}

Result<AuditPage> AuditTable::read(std::uint64_t first, std::size_t bytes) {
  AuditPage page;
  page.last = head_.last;
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
  AuditChain chain(head_.before_first);
  const auto take = [&](Statement& row) -> Result<bool> {
    Result<void> followed;
    for_each_line(row.text(1), [&](std::string_view line) {
      if (followed) followed = chain.follow(line);
    });
    if (!followed) return std::unexpected(followed.error());
    return true;
  };
  if (Result<void> walked = select_from_.for_each(take, std::uint64_t{0}); !walked)
    return std::unexpected(walked.error());
  if (chain.last() != head_.last) return cut_short();
  return head_.last.sequence - head_.before_first.sequence;
}

}  // namespace qkms::storage
