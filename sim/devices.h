// The pairs of QKD devices: each makes a block and gives it to both ends, where it may come late, changed, twice or not
// at all.
#pragma once

#include <vector>

#include "sim/context.h"
#include "sim/site.h"

namespace qkms::sim {

class Devices {
 public:
  // `context` and `sites` must outlive this.
  Devices(Context& context, std::vector<std::unique_ptr<Site>>& sites);
  void start();
  void stop() { stopped_ = true; }

 private:
  void schedule(std::size_t link);
  void make_block(std::size_t link);
  void deliver(std::size_t link, std::size_t site, const DeviceBlock& block);
  void hand_over(std::size_t link, std::size_t site, const BlockId& block, SecretBytes bits, Millis delay);

  Context& context_;
  std::vector<std::unique_ptr<Site>>& sites_;
  bool stopped_ = false;
};

}  // namespace qkms::sim
