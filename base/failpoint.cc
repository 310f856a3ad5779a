// What ships: nothing happens. In an object of its own, so that a program that defines the two otherwise does not get
// this one.
#include "base/failpoint.h"

namespace qkms {

Fault at_failpoint(Failpoint) { return Fault::kNone; }
bool is_armed(Failpoint) { return false; }

}  // namespace qkms
