// Memory for large fresh results. The system hands such memory out as unmapped pages and zeroes each on first touch, which
// takes longer than computing what goes there. So a little of what has been freed is kept for the next result.
#pragma once

#include <cstddef>

namespace normexp {

// Smaller blocks are the C library's business: it keeps them itself.
constexpr std::size_t pooled_from_bytes = std::size_t(1) << 20;

struct MemoryBlock {
    void* data;  // null: there is no more memory
    std::size_t bytes;
};
MemoryBlock take_memory(std::size_t bytes);  // at least so many
void give_memory(MemoryBlock);
std::size_t pool_limit();  // bytes kept at most: NORMEXP_POOL_MIB, or 256 MiB

}  // namespace normexp
