// See head_table.h.
#include "storage/head_table.h"

#include <algorithm>

#include "storage/big_endian.h"

namespace qkms::storage {
namespace {

AssociatedData place_of(const StoreId& store) {
  AssociatedData place("head");
  place.bytes(store);
  return place;
}

void append_mark(std::vector<std::uint8_t>& out, const AuditMark& mark) {
  append_big_endian(out, mark.sequence);
  out.insert(out.end(), mark.hash.begin(), mark.hash.end());
}

std::vector<std::uint8_t> encode(EpochId epoch, const Census& census, const Names& names, const AuditSpan& audit) {
  std::vector<std::uint8_t> out;
  append_big_endian(out, epoch);
  append_mark(out, audit.before_first);
  append_mark(out, audit.last);
  append_big_endian(out, audit.bytes);
  for (const auto& [group, tally] : census.groups()) {
    const std::string* const known = names.text_of(group);
    const std::string name = known == nullptr ? "" : *known;
    append_big_endian(out, static_cast<std::uint64_t>(group));
    append_big_endian(out, static_cast<std::uint32_t>(name.size()));
    out.insert(out.end(), name.begin(), name.end());
    append_big_endian(out, tally.rows);
    for (auto word = tally.sum.rbegin(); word != tally.sum.rend(); ++word) append_big_endian(out, *word);
  }
  return out;
}

// Takes numbers and texts from the front; `good` stays false once there was not enough.
struct Reader {
  Bytes rest;
  bool good = true;

  Bytes take(std::size_t size) {
    static constexpr std::array<std::uint8_t, 8> kNothing{};
    good = good && size <= rest.size();
    if (!good) return kNothing;
    const Bytes taken = rest.first(size);
    rest = rest.subspan(size);
    return taken;
  }
  template <class T>
  T number() {
    return get_big_endian<T>(take(sizeof(T)));
  }
  AuditMark mark() {
    AuditMark mark{.sequence = number<std::uint64_t>(), .hash = {}};
    const Bytes hash = take(mark.hash.size());
    if (good) std::ranges::copy(hash, mark.hash.begin());
    return mark;
  }
};

Result<Head> decode(Bytes bytes) {
  Reader reader{.rest = bytes};
  Head head;
  head.epoch = reader.number<EpochId>();
  head.audit.before_first = reader.mark();
  head.audit.last = reader.mark();
  head.audit.bytes = reader.number<std::uint64_t>();
  while (reader.good && !reader.rest.empty()) {
    const auto group = static_cast<Group>(reader.number<std::uint64_t>());
    const Bytes name = reader.take(reader.number<std::uint32_t>());
    Head::Entry entry{.name = std::string(name.begin(), name.end()), .tally = {}};
    entry.tally.rows = reader.number<std::uint64_t>();
    for (auto word = entry.tally.sum.rbegin(); word != entry.tally.sum.rend(); ++word) {
      *word = reader.number<std::uint64_t>();
    }
    head.groups.emplace(group, std::move(entry));
  }
  if (!reader.good) return fail(ErrorCode::kCorrupt, "the store's head is of another format");
  return head;
}

}  // namespace

Result<void> HeadTable::put(const StoreId& store, EpochId epoch, const Census& census, const Names& names,
                            const AuditSpan& audit) {
  const Result<Sealed> sealed = sealer_.seal_lastingly(place_of(store), encode(epoch, census, names, audit));
  if (!sealed) return std::unexpected(sealed.error());
  return put_.run(Bytes(store), Bytes(*sealed));
}

Result<Head> HeadTable::load(const StoreId& store) {
  std::optional<Result<Head>> head;
  const auto take = [this, &store, &head](Statement& row) -> Result<bool> {
    const Result<SecretBytes> clear = sealer_.open(place_of(store), row.blob(0));
    head = clear ? decode(clear->reveal()) : Result<Head>(std::unexpected(clear.error()));
    return false;
  };
  if (Result<void> read = select_.for_each(take); !read) return std::unexpected(read.error());
  if (head && *head) return *head;
  return fail(ErrorCode::kCorrupt, "its head, which says what must be in it, is missing or damaged");
}

Result<std::optional<StoreId>> read_store_id(Database& database) {
  std::optional<StoreId> id;
  Statement select(database, "SELECT store FROM head");
  const auto take = [&id](Statement& row) -> Result<bool> {
    if (row.blob(0).size() == sizeof(StoreId)) std::ranges::copy(row.blob(0), id.emplace().begin());
    return false;
  };
  if (Result<void> read = select.for_each(take); !read) return std::unexpected(read.error());
  return id;
}

}  // namespace qkms::storage
