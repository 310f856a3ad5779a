// See bare_store.h.
#include "bench/store/bare_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <stdexcept>

#include "api/audit_line.h"
#include "api/peer/codec.h"
#include "bench/store/samples.h"
#include "storage/sealer.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"
#include "storage/sqlite_store.h"

namespace qkms::bench {
namespace {

constexpr std::int64_t kPeer = 1, kLink = 2;  // as `name` would number them
constexpr std::size_t kLastingSaltBytes = 32;
constexpr std::size_t kHeadBytes = 206;  // in clear, with two groups of rows
constexpr std::int64_t kExtent = 1;
constexpr int kCheckpointPages = static_cast<int>(storage::kCheckpointPages);

// As the store of qkmsd has it, but for what only looks at pages with suspicion.
constexpr const char* kSettings =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
    "PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;";

std::uint64_t size_of(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : size;
}

std::size_t line_bytes(const api::AuditRecord& record) {
  return api::audit_line({1'000'000, "2026-01-01T00:00:00.000Z", own_kme().str(), {}}, record).size() + 1;
}

void make_file(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor >= 0) ::close(descriptor);
  const auto database = storage::Database::open(file);
  if (!database || !storage::create_tables(**database)) throw std::runtime_error("cannot make the bare store");
}

// By kind of value, as directly as SQLite takes it.
int bind(sqlite3_stmt* statement, int index, std::int64_t value) { return sqlite3_bind_int64(statement, index, value); }
int bind(sqlite3_stmt* statement, int index, const std::vector<std::uint8_t>& value) {
  return sqlite3_bind_blob(statement, index, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
}
int bind(sqlite3_stmt* statement, int index, std::string_view value) {
  return sqlite3_bind_text(statement, index, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
}

}  // namespace

BareStore::BareStore(const std::filesystem::path& folder, std::uint64_t audit_bytes) : file_(folder / "store.db") {
  constexpr std::size_t kHeader = storage::kSealHeaderBytes;
  seal_.assign(kHeader, 7);
  node_.assign(kHeader + kLastingSaltBytes + 64, 7);
  head_.assign(kHeader + kLastingSaltBytes + kHeadBytes, 7);
  key_.assign(kHeader + kKeyBytes, 7);
  message_.assign(kHeader + api::encode_message(sample_message(1'000'000).message).size(), 7);
  bits_.assign(kHeader + kBlockBytes, 7);
  line_of_key_ = line_bytes(sample_delivery(api::AuditAction::kKeysToSlave, 1));
  line_of_block_ = line_bytes(sample_ingest(1));
  audit_rows_ = static_cast<std::int64_t>(audit_bytes / (kKeysPerCommit * line_of_key_));
  std::filesystem::create_directories(folder);
  const bool is_new = !std::filesystem::exists(file_);
  if (is_new) make_file(file_);
  open();
  if (!is_new) return;
  execute("INSERT INTO head VALUES (1, zeroblob(16), zeroblob(300))");
  execute("INSERT INTO node VALUES (1, 'KME-B', 1, 1, 1, 1, 1, 1, zeroblob(129), 0)");
  execute("INSERT INTO extent VALUES (1, 1, 0, 65536, 0, zeroblob(33))");
  execute(
      "INSERT INTO peer SELECT 1, zeroblob(32), zeroblob(16), 1, 1 << 60, 1000000, 1000000, 1000000, 1000000, 1000000,"
      "1 << 40, 1 << 30, 0, 0, 1 << 36, 1 << 38, 0, 0, 0, 1, 1 << 60, 1000000, 1, 1 << 60, 1000000, zeroblob(33)");
}

void BareStore::close() {
  statements_ = {};
  connection_.reset();
}

Spent BareStore::open() {
  const Meter meter;
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(file_.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(connection);
  if (code != SQLITE_OK) throw std::runtime_error("cannot open the bare store");
  execute(kSettings);
  sqlite3_wal_hook(connection, checkpoint, this);
  prepare_all();
  execute("SELECT sum(length(substr(bits, 1, 33))) FROM assignment");
  return meter.stop();
}

// As SQLite does by itself, but counted.
int BareStore::checkpoint(void* self, sqlite3* connection, const char*, int pages) {
  if (pages < kCheckpointPages) return SQLITE_OK;
  ++static_cast<BareStore*>(self)->checkpoints_;
  return sqlite3_wal_checkpoint_v2(connection, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

void BareStore::execute(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    throw std::runtime_error(std::string("bare store: ") + sqlite3_errmsg(connection_.get()));
  }
}

BareStore::Statement BareStore::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    throw std::runtime_error(std::string("bare store: ") + sqlite3_errmsg(connection_.get()));
  }
  return Statement(statement);
}

void BareStore::prepare_all() {
  Statements& s = statements_;
  s.begin = prepare("BEGIN IMMEDIATE");
  s.commit = prepare("COMMIT");
  s.node = prepare("UPDATE node SET progress = ?, secrets = ? WHERE one = 1");
  s.peer = prepare("UPDATE peer SET received = ?, heard_progress = ?, seal = ? WHERE peer = 1");
  s.extent = prepare("UPDATE extent SET front = ?, seal = ? WHERE peer = ? AND id = ?");
  s.put = prepare("INSERT INTO assignment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  s.get = prepare(
      "SELECT master, slaves, key_count, key_bytes, expires_at, on_ledger, fetched, bits FROM assignment "
      "WHERE issuer = ? AND record = ?");
  s.drop = prepare("DELETE FROM assignment WHERE issuer = ? AND record = ?");
  s.add_message = prepare("INSERT INTO outbox VALUES (?, ?, ?)");
  s.drop_messages = prepare("DELETE FROM outbox WHERE peer = ? AND sequence <= ?");
  s.add_block = prepare("INSERT INTO block VALUES (?, ?, ?, 0, ?)");
  s.drop_block = prepare("DELETE FROM block WHERE number = ?");
  s.add_seen = prepare("INSERT INTO seen_block VALUES (?, ?, ?)");
  s.add_extent = prepare("INSERT INTO extent VALUES (?, ?, 0, ?, 0, ?)");
  s.add_bits = prepare("INSERT INTO extent_bits VALUES (?, ?, ?)");
  s.drop_extent = prepare("DELETE FROM extent WHERE peer = ? AND id = ?");
  s.drop_bits = prepare("DELETE FROM extent_bits WHERE peer = ? AND id = ?");
  s.head = prepare("UPDATE head SET seal = ? WHERE one = 1");
  s.audit = prepare("INSERT INTO audit VALUES (?, ?)");
  s.drop_audit = prepare("DELETE FROM audit WHERE first = ?");
}

void BareStore::run(const Statement& statement) {
  const int code = sqlite3_step(statement.get());
  sqlite3_reset(statement.get());
  if (code != SQLITE_DONE) throw std::runtime_error(std::string("bare store: ") + sqlite3_errmsg(connection_.get()));
}

template <class... Values>
void BareStore::run(const Statement& statement, const Values&... values) {
  int index = 0;
  ((static_cast<void>(bind(statement.get(), ++index, values))), ...);
  run(statement);
}

template <class Work>
Spent BareStore::measure(const Work& work) {
  const std::uint64_t checkpoints = checkpoints_;
  const Meter meter;
  work();
  Spent spent = meter.stop();
  spent.checkpoints = checkpoints_ - checkpoints;
  return spent;
}

void BareStore::put_progress_of(const Statement& statement) {
  ++progress_;
  if (&statement == &statements_.node) return run(statement, progress_, node_);
  run(statement, progress_, progress_, seal_);
}

void BareStore::move_extent() { run(statements_.extent, ++progress_ % kExtentBytes, seal_, kPeer, kExtent); }

// With the rows that tell nothing of keys, where they are asked for.
void BareStore::end(std::size_t audit_bytes) {
  if (rows_ == Rows::kAll) run(statements_.head, head_);
  if (rows_ == Rows::kAll && audit_bytes > 0) {
    lines_.resize(audit_bytes, '.');
    run(statements_.audit, next_line_, std::string_view(lines_));
    run(statements_.drop_audit, next_line_++ - audit_rows_);
  }
  run(statements_.commit);
}

Spent BareStore::put(Records records) {
  return measure([&] {
    run(statements_.begin);
    put_peer();
    move_extent();
    constexpr std::int64_t kLater = 1'000'000'000'000, kOne = 1, kBytes = kKeyBytes;
    constexpr std::string_view kMaster = "SAE-A-ENC-0001", kSlaves = "SAE-B-ENC-0001";
    for (const std::uint64_t record : records) {
      run(statements_.put, kPeer, static_cast<std::int64_t>(record), kMaster, kSlaves, kOne, kBytes, kLater, kOne,
          fetched_, key_);
    }
    end(0);
  });
}

// All columns are looked at, the blob is copied out.
void BareStore::get(std::uint64_t record) {
  sqlite3_stmt* const select = statements_.get.get();
  sqlite3_bind_int64(select, 1, kPeer);
  sqlite3_bind_int64(select, 2, static_cast<std::int64_t>(record));
  if (sqlite3_step(select) != SQLITE_ROW) throw std::runtime_error("a key is not there");
  std::int64_t sum = 0;
  for (const int column : {2, 3, 4, 5}) sum += sqlite3_column_int64(select, column);
  for (const int column : {0, 1}) sum += sqlite3_column_text(select, column)[0];
  const auto* const bits = static_cast<const std::uint8_t*>(sqlite3_column_blob(select, 7));
  copy_.assign(bits, bits + sqlite3_column_bytes(select, 7));
  copy_.push_back(static_cast<std::uint8_t>(sum));
  sqlite3_reset(select);
}

Spent BareStore::deliver(Records records) {
  return measure([&] {
    for (const std::uint64_t record : records) get(record);
    run(statements_.begin);
    put_node();
    put_peer();
    for (const std::uint64_t record : records) run(statements_.drop, kPeer, static_cast<std::int64_t>(record));
    end(records.size() * line_of_key_);
  });
}

Spent BareStore::take(std::size_t keys) {
  return measure([&] {
    run(statements_.begin);
    put_node();
    put_peer();
    move_extent();
    const std::int64_t acknowledged = next_message_ - 1;
    for (std::size_t i = 0; i < keys; ++i) run(statements_.add_message, kPeer, next_message_++, message_);
    run(statements_.drop_messages, kPeer, acknowledged);
    end(keys * line_of_key_);
  });
}

void BareStore::add_extents(std::uint64_t block) {
  constexpr std::size_t kHalf = (kBlockBytes - kMacBytes) / 2;
  bits_.resize(storage::kSealHeaderBytes + kHalf);
  for (const std::uint64_t half : {0, 1}) {
    const auto id = static_cast<std::int64_t>(2 * block + half + kExtentBytes);
    run(statements_.add_extent, kPeer, id, static_cast<std::int64_t>(kHalf), seal_);
    run(statements_.add_bits, kPeer, id, bits_);
  }
  bits_.resize(storage::kSealHeaderBytes + kBlockBytes);
}

Spent BareStore::ingest(std::size_t blocks) {
  const std::int64_t first = next_block_, end_block = first + static_cast<std::int64_t>(blocks);
  const std::vector<std::uint8_t> id(16, 7);
  const Spent spent = measure([&] {
    run(statements_.begin);
    for (std::int64_t block = first; block < end_block; ++block) run(statements_.add_block, block, kLink, id, bits_);
    end(0);
    run(statements_.begin);
    put_peer();
    for (std::int64_t block = first; block < end_block; ++block) {
      add_extents(static_cast<std::uint64_t>(block));
      run(statements_.drop_block, block);
      run(statements_.add_seen, kLink, block, id);
    }
    end(blocks * line_of_block_);
  });
  next_block_ = end_block;
  run(statements_.begin);
  for (std::int64_t extent = 2 * first; extent < 2 * end_block; ++extent) {
    run(statements_.drop_extent, kPeer, extent + kExtentBytes);
    run(statements_.drop_bits, kPeer, extent + kExtentBytes);
  }
  end(0);
  return spent;
}

std::uint64_t BareStore::size_bytes() const { return size_of(file_); }
std::uint64_t BareStore::log_bytes() const { return size_of(storage::log_of(file_)); }

}  // namespace qkms::bench
