// See data_keys.h. Every data key's row holds a proof: an empty text sealed under that key. A master key that opens no
// proof is wrong.
#include "storage/data_keys.h"

#include <algorithm>
#include <ctime>
#include <limits>

#include "storage/os.h"

namespace qkms::storage {
namespace {

struct KnownKeys {
  std::int64_t last_id = 0;
  bool any_opens = false;
};

AssociatedData place_of_proof(std::int64_t id, std::int64_t created) {
  AssociatedData place("data_key");
  place.number(static_cast<std::uint64_t>(id)).number(static_cast<std::uint64_t>(created));
  return place;
}

// Newest first, and only until one proof has opened: the rows of the others may be damaged, which their own rows will
// show.
Result<KnownKeys> read_known_keys(Database& database, Sealer& sealer) {
  KnownKeys known;
  Statement select(database, "SELECT id, salt, created, proof FROM data_key ORDER BY id DESC");
  const auto take = [&](Statement& row) -> Result<bool> {
    known.last_id = std::max(known.last_id, row.integer(0));
    Salt salt;
    if (row.blob(1).size() != salt.size()) return true;
    std::ranges::copy(row.blob(1), salt.begin());
    sealer.add_data_key(static_cast<DataKeyId>(row.integer(0)), salt);
    if (!known.any_opens) {
      known.any_opens = sealer.open(place_of_proof(row.integer(0), row.integer(2)), row.blob(3)).has_value();
    }
    return true;
  };
  if (Result<void> read = select.for_each(take); !read) return std::unexpected(read.error());
  return known;
}

Result<void> add_fresh_key(Database& database, Sealer& sealer, std::int64_t id) {
  Salt salt;
  if (Result<void> drawn = fill_random(salt); !drawn) return drawn;
  if (Result<void> taken = sealer.seal_under(static_cast<DataKeyId>(id), salt); !taken) return taken;
  const std::int64_t created = std::time(nullptr);
  const Result<Sealed> proof = sealer.seal(place_of_proof(id, created), {});
  if (!proof) return std::unexpected(proof.error());
  Statement insert(database, "INSERT INTO data_key VALUES (?, ?, ?, ?)");
  return insert.run(id, std::span<const std::uint8_t>(salt), created, std::span(*proof));
}

}  // namespace

Result<void> open_data_keys(Database& database, Sealer& sealer) {
  const Result<KnownKeys> known = read_known_keys(database, sealer);
  if (!known) return std::unexpected(known.error());
  if (known->last_id > 0 && !known->any_opens) {
    return fail(ErrorCode::kInvalid, "the master key does not fit: it is not the one that this store was sealed with");
  }
  if (known->last_id >= std::numeric_limits<DataKeyId>::max()) {
    return fail(ErrorCode::kInternal, "the store has used up its data key numbers");
  }
  return add_fresh_key(database, sealer, known->last_id + 1);
}

}  // namespace qkms::storage
