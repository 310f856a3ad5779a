// What QKD devices leave in files, and how it becomes blocks. Pure functions on bounded input; fuzzed
// (fuzz/fuzz_key_file.cc).
//
// Both ends must get the same IDs and the same bits from their files without a word between them, so an ID comes from
// what a file says, or from its name, never from when it was found.
#pragma once

#include <string_view>
#include <vector>

#include "drivers/driver.h"

namespace qkms::drivers {

enum class FileFormat {
  // The whole file is key bits. Cut into parts of kMaxBlockBytes, of nearly one size. The ID: the UUID that the name
  // (without its ending) is, if it is one and there is one part; else derived from name and part.
  kRaw,
  // Records of a UUID (16 bytes) and a key (32 bytes), in any order. A file is one block, or several of up to 32 768
  // records: the keys in the order of their UUIDs, under an ID derived from all of these. So the files of both ends
  // must
  // have the same records.
  kUuidRecords,
  // The final key of qcrypto (its stream 7), one or more in a file: little-endian u32 tag (7), u32 epoch, u32 number of
  // epochs, i32 number of bits, then 32-bit words with the first bit in the most significant place. Bits beyond the
  // last
  // whole byte are dropped. ID derived from the epoch and their number.
  kQcrypto,
  // Key streams of the AIT QKD software, release 10: for each key big-endian u32 ID, u64 length and that much
  // description in XML, u64 length and that many bytes. ID derived from the key's ID.
  kAit,
};

inline constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;

// Blocks in the order of the file. kInvalid: not of this format, or too short; the text says what and where, without
// bits of it. Nothing of a file that is wrong anywhere is used.
Result<std::vector<Block>> blocks_of_file(FileFormat format, const LinkId& link, std::string_view file_name,
                                          const SecretBytes& content);

}  // namespace qkms::drivers
