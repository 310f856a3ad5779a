// What a device leaves in a file. The first byte chooses the format. Claims: nothing but blocks of allowed sizes comes
// out, as many bits as went in at most, the same for the same file, and a refusal says why.
#include <algorithm>
#include <cstdlib>

#include "drivers/file_formats.h"

namespace {

using namespace qkms;
using namespace qkms::drivers;

void claim(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const LinkId kLink = LinkId::parse("A-B").value();
  const auto format = static_cast<FileFormat>(data[0] % 4);
  const SecretBytes content = SecretBytes::copy_of({data + 1, size - 1});
  const auto blocks = blocks_of_file(format, kLink, "name", content);
  const auto again = blocks_of_file(format, kLink, "name", content);
  claim(blocks.has_value() == again.has_value());
  if (!blocks) {
    claim(blocks.error().code == ErrorCode::kInvalid && !blocks.error().text.empty());
    return 0;
  }
  std::size_t total = 0;
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    const Block& block = blocks->at(i);
    claim(block.bits.size() >= kMinBlockBytes && block.bits.size() <= kMaxBlockBytes);
    claim(block.id == again->at(i).id && block.bits.equals(again->at(i).bits));
    total += block.bits.size();
  }
  claim(total <= content.size());
  return 0;
}
