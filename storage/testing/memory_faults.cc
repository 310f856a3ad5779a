// See memory_faults.h. SQLite knows one allocator for the process, so the state is the process's, too.
#include "storage/testing/memory_faults.h"

#include <sqlite3.h>

#include <cassert>

namespace qkms::storage {
namespace {

struct State {
  sqlite3_mem_methods real{};
  std::uint64_t nth = 0, calls = 0;
  bool armed = false, once = false;
};
State state;

bool fails() {
  if (!state.armed) return false;
  ++state.calls;
  return state.calls == state.nth || (state.calls > state.nth && !state.once);
}

void* allocate(int size) { return fails() ? nullptr : state.real.xMalloc(size); }
void* reallocate(void* bytes, int size) { return fails() ? nullptr : state.real.xRealloc(bytes, size); }

void use(const sqlite3_mem_methods& methods) {
  [[maybe_unused]] int code = sqlite3_shutdown();
  assert(code == SQLITE_OK);
  code = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
  assert(code == SQLITE_OK);
  code = sqlite3_initialize();
  assert(code == SQLITE_OK);
}

}  // namespace

MemoryFaults::MemoryFaults() {
  sqlite3_shutdown();
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &state.real);
  sqlite3_mem_methods faulty = state.real;
  faulty.xMalloc = allocate;
  faulty.xRealloc = reallocate;
  use(faulty);
}

MemoryFaults::~MemoryFaults() { use(state.real); }

void MemoryFaults::arm(std::uint64_t nth, bool once) {
  state.nth = nth;
  state.calls = 0;
  state.once = once;
  state.armed = true;
}

void MemoryFaults::disarm() { state.armed = false; }

bool MemoryFaults::hit() const { return state.calls >= state.nth; }

}  // namespace qkms::storage
