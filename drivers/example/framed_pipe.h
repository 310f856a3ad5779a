// An example for docs/drivers.md: an imaginary device that writes frames into a pipe or a serial line.
#pragma once

#include <filesystem>
#include <memory>

#include "drivers/driver.h"

namespace qkms::drivers {

// A frame: "QKD1", a block ID of 16 bytes, a big-endian u32 with the number of bytes, and so many bytes of key.
std::unique_ptr<Driver> make_framed_pipe_driver(std::filesystem::path device);

}  // namespace qkms::drivers
