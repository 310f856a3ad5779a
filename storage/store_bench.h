// For tests: a store of either kind, and the ways to restart it and to damage it.
#pragma once

#include <gtest/gtest.h>

#include "storage/memory_store.h"
#include "storage/scratch_folder.h"
#include "storage/sqlite_store.h"
#include "storage/store_samples.h"

namespace qkms::storage {

class Bench {
 public:
  virtual ~Bench() = default;
  virtual kms::Store& store() = 0;
  virtual void reopen() = 0;
  virtual void spoil(const kms::ExtentKey& key) = 0;
  virtual void spoil(const kms::AssignmentId& id) = 0;
};

class MemoryBench final : public Bench {
 public:
  kms::Store& store() override { return store_; }
  void reopen() override { store_.crash(); }
  void spoil(const kms::ExtentKey& key) override { store_.spoil(key); }
  void spoil(const kms::AssignmentId& id) override { store_.spoil(id); }

 private:
  MemoryStore store_;
};

class SqliteBench final : public Bench {
 public:
  explicit SqliteBench(const EpochSettings& epochs = {}) : settings_{.keyring = {}, .epochs = epochs} { open(); }
  kms::Store& store() override { return *store_; }
  const SqliteStore& sqlite_store() const { return *store_; }
  void reopen() override {
    store_.reset();
    open();
  }
  void spoil(const kms::ExtentKey& key) override { spoil("extent_bits", "peer", key.peer, "id", key.id); }
  void spoil(const kms::AssignmentId& id) override { spoil("assignment", "issuer", id.issuer, "record", id.record); }

 private:
  void open() { store_ = SqliteStore::open(file_, bits(32, 1), settings_).value(); }

  // Flips a bit of what is sealed, not of the seal: the census counts seals.
  void spoil(const std::string& table, const std::string& kme_column, const KmeId& kme_id,
             const std::string& number_column, std::uint64_t number) {
    store_.reset();
    const std::string row = " WHERE " + kme_column + " = (SELECT number FROM name WHERE text = '" + kme_id.str() +
                            "') AND " + number_column + " = " + std::to_string(number);
    {
      const std::unique_ptr<Database> database = Database::open(file_).value();
      const std::string sql = "SELECT bits FROM " + table + row;
      std::vector<std::uint8_t> sealed;
      Statement select(*database, sql.c_str());
      ASSERT_TRUE(select.for_each([&sealed](Statement& found) -> Result<bool> {
        sealed.assign(found.blob(0).begin(), found.blob(0).end());
        return false;
      }));
      ASSERT_FALSE(sealed.empty());
      sealed.back() ^= 1;
      const std::string change = "UPDATE " + table + " SET bits = ?" + row;
      ASSERT_TRUE(Statement(*database, change.c_str()).run(std::span<const std::uint8_t>(sealed)));
    }
    open();
  }

  StoreSettings settings_;
  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store";
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace qkms::storage
