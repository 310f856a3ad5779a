#include "base/process_guard.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace qkms {

bool protect_process() noexcept {
  rlimit lockable{};
  if (::getrlimit(RLIMIT_MEMLOCK, &lockable) == 0) {
    lockable.rlim_cur = lockable.rlim_max;
    ::setrlimit(RLIMIT_MEMLOCK, &lockable);  // SecretHeap counts what is not locked
  }
  const rlimit none{0, 0};
  return ::setrlimit(RLIMIT_CORE, &none) == 0 && ::prctl(PR_SET_DUMPABLE, 0) == 0;
}

}  // namespace qkms
