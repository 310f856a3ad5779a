// What a process that holds secrets asks of the system for itself.
#pragma once

namespace qkms {

// No core file, and no other process of the same user that reads this one's memory. As much memory may be locked as the
// system grants this process (the soft limit becomes the hard one). To be called first in main(). False: the system
// refused one of the first two.
bool protect_process() noexcept;

}  // namespace qkms
