// See history.h.
#include "storage/testing/history.h"

#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

constexpr std::uint64_t kKept = 5;
constexpr std::size_t kExtentBytes = 64;

std::unexpected<std::string> wrong(std::string text) { return std::unexpected(std::move(text)); }

kms::Needs needs_around(std::uint64_t first, std::uint64_t last) {
  kms::Needs needs;
  for (std::uint64_t i = first > 1 ? first - 1 : 1; i <= last + 1; ++i) {
    needs.extent_bits.insert({kme("KME-B"), i});
    needs.assignments.insert({kme("KME-B"), i});
  }
  return needs;
}

// Whether there are rows first to last, with the right bits, and no others.
bool has_exactly(const kms::Loaded& loaded, std::uint64_t first, std::uint64_t last) {
  const std::size_t count = last - first + 1;
  if (loaded.unreadable > 0 || loaded.extent_bits.size() != count || loaded.assignments.size() != count) return false;
  for (const auto& [key, found] : loaded.extent_bits) {
    if (key.id < first || key.id > last) return false;
    if (!found.equals(bits(kExtentBytes, static_cast<std::uint8_t>(key.id)))) return false;
  }
  for (const auto& [id, row] : loaded.assignments) {
    if (id.record < first || id.record > last) return false;
    if (!row.bits.equals(bits(row.bits.size(), static_cast<std::uint8_t>(id.record)))) return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> open_history(const std::filesystem::path& file) {
  return SqliteStore::open(file, bits(32, 1));
}

kms::Changes history_commit(std::uint64_t i, std::size_t assignment_bytes) {
  kms::Changes changes;
  changes.node = sample_node();
  changes.node->record_limit = i;
  changes.new_extents.emplace_back(sample_extent("KME-B", i), bits(kExtentBytes, static_cast<std::uint8_t>(i)));
  changes.put_assignments.push_back(sample_assignment("KME-B", i));
  changes.put_assignments.back().bits = bits(assignment_bytes, static_cast<std::uint8_t>(i));
  changes.new_outbox.push_back({kme("KME-B"), i, api::Void{.record = i}});
  if (i > kKept) {
    changes.dropped_extents = {{kme("KME-B"), i - kKept}};
    changes.dropped_assignments = {{kme("KME-B"), i - kKept}};
    changes.acknowledged_outbox = {{kme("KME-B"), i - kKept}};
  }
  return changes;
}

std::expected<std::uint64_t, std::string> read_history(kms::Store& store) {
  const Result<kms::Snapshot> snapshot = store.load_all();
  if (!snapshot) return wrong("it does not load: " + snapshot.error().text);
  const std::uint64_t last = snapshot->node.record_limit;
  const std::uint64_t first = last > kKept ? last - kKept + 1 : 1;
  const std::size_t count = last - first + 1;
  if (snapshot->unreadable > 0) return wrong(std::to_string(snapshot->unreadable) + " rows do not open");
  if (snapshot->extents.size() != count || snapshot->outbox.size() != count) {
    return wrong("it says " + std::to_string(last) + " and has " + std::to_string(snapshot->extents.size()) +
                 " extents and " + std::to_string(snapshot->outbox.size()) + " messages");
  }
  const Result<kms::Loaded> loaded = store.load(needs_around(first, last));
  if (!loaded) return wrong("its rows do not load: " + loaded.error().text);
  if (!has_exactly(*loaded, first, last)) return wrong("it says " + std::to_string(last) + " and has other rows");
  return last;
}

}  // namespace qkms::storage
