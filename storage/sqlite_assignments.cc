// Assignments: keys that wait for SAEs. See sqlite_tables.h.
// What would surprise: all columns of the row are associated data of its bits, so a changed slave, size or expiry shows
// too.
#include <algorithm>
#include <limits>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

// SAE IDs are printable ASCII (base/id.h), so a newline can stand between them.
std::string join(const std::vector<SaeId>& ids) {
  std::string text;
  for (const SaeId& id : ids) {
    if (!text.empty()) text += '\n';
    text += id.str();
  }
  return text;
}

Result<std::vector<SaeId>> split(std::string_view text) {
  std::vector<SaeId> ids;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Result<SaeId> id = SaeId::parse(text.substr(0, end));
    if (!id) return std::unexpected(id.error());
    ids.push_back(std::move(*id));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

std::vector<std::uint8_t> to_bytes(const std::vector<std::uint16_t>& fetched) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(2 * fetched.size());
  for (const std::uint16_t slaves : fetched) {
    bytes.push_back(static_cast<std::uint8_t>(slaves >> 8));
    bytes.push_back(static_cast<std::uint8_t>(slaves));
  }
  return bytes;
}

std::vector<std::uint16_t> to_fetched(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint16_t> fetched;
  fetched.reserve(bytes.size() / 2);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    fetched.push_back(static_cast<std::uint16_t>(bytes[i] << 8 | bytes[i + 1]));
  }
  return fetched;
}

// The columns as they stand in SQL, without the key columns and the bits.
struct Columns {
  std::string_view master;
  std::string_view slaves;
  std::uint64_t key_count = 0;
  std::uint64_t key_bytes = 0;
  std::int64_t expires_at = 0;
  std::int64_t on_ledger = 0;
  std::span<const std::uint8_t> fetched;
};

// What read() reads, in its order.
constexpr const char* kColumns = "record, expires_at, master, slaves, key_count, key_bytes, on_ledger, fetched, bits";
constexpr const char* kOfRun = " WHERE issuer = ? AND record BETWEEN ? AND ?";

AssociatedData place_of(std::string_view issuer, std::uint64_t record, const Columns& columns) {
  AssociatedData place("assignment");
  place.text(issuer)
      .number(record)
      .text(columns.master)
      .text(columns.slaves)
      .number(columns.key_count)
      .number(columns.key_bytes)
      .number(static_cast<std::uint64_t>(columns.expires_at))
      .number(static_cast<std::uint64_t>(columns.on_ledger))
      .bytes(columns.fetched);
  return place;
}

}  // namespace

const SealedColumn kAssignmentSeal{
    .table = "assignment",
    .key = {"issuer", "record"},
    .group = "issuer",
    .column = "bits",
    .fields = "record, master, slaves, key_count, key_bytes, expires_at, on_ledger, fetched",
    .place = [](const std::string& issuer, const Statement& row, int at) {
      return place_of(issuer, row.number(at),
                      {.master = row.text(at + 1),
                       .slaves = row.text(at + 2),
                       .key_count = row.number(at + 3),
                       .key_bytes = row.number(at + 4),
                       .expires_at = row.integer(at + 5),
                       .on_ledger = row.integer(at + 6),
                       .fetched = row.blob(at + 7)});
    }};

AssignmentTable::AssignmentTable(const TableContext& context)
    : seals_(context.seals),
      names_(context.names),
      select_highest_(context.database, "SELECT max(record) FROM assignment WHERE issuer = ?"),
      select_headers_(context.database, "SELECT " + header_of("bits") + " FROM assignment" + kOfRun),
      add_(context.database, "INSERT INTO assignment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      put_(context.database, "INSERT OR REPLACE INTO assignment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      drop_(context.database, std::string("DELETE FROM assignment") + kOfRun),
      select_(context.database, "SELECT " + std::string(kColumns) + " FROM assignment" + kOfRun + " ORDER BY record"),
      select_oldest_(context.database,
                     "SELECT " + std::string(kColumns) + " FROM assignment WHERE issuer = ? ORDER BY record"),
      select_issuers_(context.database, "SELECT number FROM name ORDER BY text") {}

Result<void> AssignmentTable::put(const kms::Assignment& row) {
  const Result<std::int64_t> issuer = names_.number_of(row.issuer.str());
  if (!issuer) return std::unexpected(issuer.error());
  const std::string slaves = join(row.slaves);
  const std::vector<std::uint8_t> fetched = to_bytes(row.fetched);
  const Columns columns{.master = row.master.str(),
                        .slaves = slaves,
                        .key_count = row.key_count,
                        .key_bytes = row.key_bytes,
                        .expires_at = row.expires_at,
                        .on_ledger = row.on_ledger ? 1 : 0,
                        .fetched = fetched};
  const Result<bool> is_new = is_beyond_all(*issuer, static_cast<std::int64_t>(row.record));
  if (!is_new) return std::unexpected(is_new.error());
  if (!*is_new) {
    if (Result<void> left = leave_run(*issuer, {&row.issuer, row.record, row.record}); !left) return left;
  }
  const Result<Sealed> sealed =
      seals_.seal(*issuer, place_of(row.issuer.str(), row.record, columns), row.bits.reveal());
  if (!sealed) return std::unexpected(sealed.error());
  Statement& statement = *is_new ? add_ : put_;  // to replace costs a second look-up
  return statement.run(*issuer, row.record, columns.master, columns.slaves, columns.key_count, columns.key_bytes,
                       columns.expires_at, columns.on_ledger, columns.fetched, std::span(*sealed));
}

Result<bool> AssignmentTable::is_beyond_all(std::int64_t issuer, std::int64_t record) {
  auto known = highest_.find(issuer);
  if (known == highest_.end()) {
    std::int64_t highest = std::numeric_limits<std::int64_t>::min();
    const auto take = [&highest](Statement& row) -> Result<bool> {
      if (!row.is_null(0)) highest = row.integer(0);
      return true;
    };
    if (Result<void> asked = select_highest_.for_each(take, issuer); !asked) return std::unexpected(asked.error());
    known = highest_.emplace(issuer, highest).first;
  }
  if (record <= known->second) return false;
  known->second = record;
  return true;
}

Result<void> AssignmentTable::drop(const std::vector<kms::AssignmentId>& ids) {
  for (const Run& run : runs_of(ids)) {
    const std::optional<std::int64_t> issuer = names_.find(run.issuer->str());
    if (!issuer) continue;
    if (Result<void> left = leave_run(*issuer, run); !left) return left;
    if (Result<void> dropped = drop_.run(*issuer, run.first, run.last); !dropped) return dropped;
  }
  return {};
}

// Takes the rows of a run out of the census: by what is remembered of them, or else by what stands in the file.
Result<void> AssignmentTable::leave_run(std::int64_t issuer, const Run& run) {
  const auto begin = loaded_headers_.lower_bound({issuer, run.first});
  const auto end = loaded_headers_.upper_bound({issuer, run.last});
  const auto known = static_cast<std::uint64_t>(std::distance(begin, end));
  Result<void> left;
  if (known == run.last - run.first + 1) {
    for (auto at = begin; at != end; ++at) seals_.leave(issuer, at->second);
  } else {
    left = select_headers_.for_each(seals_.leave(issuer), issuer, run.first, run.last);
  }
  loaded_headers_.erase(begin, end);
  return left;
}

// SQL orders records by their bits as signed numbers, so no run goes over the place where these turn negative.
std::vector<AssignmentTable::Run> AssignmentTable::runs_of(const auto& ids) {
  constexpr std::uint64_t kFirstNegative = std::uint64_t{1} << 63;
  std::vector<Run> runs;
  for (const kms::AssignmentId& id : ids) {
    const bool follows = !runs.empty() && id.record != kFirstNegative && id.record == runs.back().last + 1 &&
                         id.issuer == *runs.back().issuer;
    if (follows) {
      runs.back().last = id.record;
    } else {
      runs.push_back({&id.issuer, id.record, id.record});
    }
  }
  return runs;
}

// kCorrupt: the row is unreadable. Any other error: reading it was not possible at all.
Result<kms::Assignment> AssignmentTable::read(std::int64_t number, const kms::AssignmentId& id, const Statement& row) {
  const Columns columns{.master = row.text(2),
                        .slaves = row.text(3),
                        .key_count = row.number(4),
                        .key_bytes = row.number(5),
                        .expires_at = row.integer(1),
                        .on_ledger = row.integer(6),
                        .fetched = row.blob(7)};
  Result<SecretBytes> bits = seals_.open(place_of(id.issuer.str(), id.record, columns), row.blob(8));
  if (!bits) return std::unexpected(bits.error());
  std::ranges::copy(row.blob(8).first(kSealHeaderBytes), loaded_headers_[{number, id.record}].begin());
  const Result<SaeId> master = SaeId::parse(columns.master);
  Result<std::vector<SaeId>> slaves = split(columns.slaves);
  if (!master || !slaves) return fail(ErrorCode::kCorrupt, "an assignment names an SAE that cannot be");
  return kms::Assignment{.issuer = id.issuer,
                         .record = id.record,
                         .master = *master,
                         .slaves = std::move(*slaves),
                         .key_count = static_cast<std::uint32_t>(columns.key_count),
                         .key_bytes = static_cast<std::uint32_t>(columns.key_bytes),
                         .expires_at = columns.expires_at,
                         .on_ledger = columns.on_ledger != 0,
                         .fetched = to_fetched(columns.fetched),
                         .bits = std::move(*bits)};
}

Result<void> AssignmentTable::load(const std::set<kms::AssignmentId>& ids, kms::Loaded& loaded) {
  forget_loaded();
  for (const Run& run : runs_of(ids)) {
    if (Result<void> found = load_run(run, loaded); !found) return found;
  }
  return {};
}

Result<void> AssignmentTable::load_run(const Run& run, kms::Loaded& loaded) {
  const std::optional<std::int64_t> issuer = names_.find(run.issuer->str());
  if (!issuer) return {};
  const auto take = [&](Statement& row) -> Result<bool> {
    kms::AssignmentId id{*run.issuer, row.number(0)};
    if (Result<kms::Assignment> assignment = read(*issuer, id, row)) {
      loaded.assignments.emplace_hint(loaded.assignments.end(), std::move(id), std::move(*assignment));
    } else if (assignment.error().code == ErrorCode::kCorrupt) {
      ++loaded.unreadable;
    } else {
      return std::unexpected(assignment.error());
    }
    return true;
  };
  return select_.for_each(take, *issuer, run.first, run.last);
}

Result<void> AssignmentTable::load_expired(Millis now, kms::Loaded& loaded, std::set<kms::AssignmentId>& reported) {
  return select_issuers_.for_each([&](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<KmeId> issuer = KmeId::parse(text == nullptr ? "" : *text);
    if (!issuer) return true;
    if (Result<void> found = load_expired_of(*issuer, row.integer(0), now, loaded, reported); !found) {
      return std::unexpected(found.error());
    }
    return loaded.expired.size() < kms::kExpiryBatch;
  });
}

// Life is one configured constant, so an issuer's records expire about in the order of their numbers: the look-up
// starts at the lowest and stops at the first that has not expired. An index on the time of expiry would cost every
// insert and delete; this costs nothing. A time is believed when its row opens: one flipped bit must not stop it.
Result<void> AssignmentTable::load_expired_of(const KmeId& issuer, std::int64_t number, Millis now, kms::Loaded& loaded,
                                              std::set<kms::AssignmentId>& reported) {
  const auto take = [&](Statement& row) -> Result<bool> {
    if (loaded.expired.size() == kms::kExpiryBatch) return false;
    const kms::AssignmentId id{issuer, row.number(0)};
    if (!loaded.assignments.contains(id)) {
      Result<kms::Assignment> assignment = read(number, id, row);
      if (!assignment) {
        if (assignment.error().code != ErrorCode::kCorrupt) return std::unexpected(assignment.error());
        if (reported.insert(id).second) ++loaded.unreadable;
        return true;
      }
      if (assignment->expires_at > now) return false;
      loaded.assignments.emplace(id, std::move(*assignment));
    }
    if (row.integer(1) > now) return false;
    loaded.expired.push_back(id);
    return true;
  };
  return select_oldest_.for_each(take, number);
}

}  // namespace qkms::storage
