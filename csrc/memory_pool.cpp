#include "memory_pool.hpp"

#include <cstdlib>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace normexp {
namespace {

constexpr std::size_t huge_page = std::size_t(2) << 20;  // x86-64 and, with 4 KiB pages, AArch64
constexpr int most_blocks = 8;

// Never destroyed: arrays may outlive static objects. Nobody waits for the lock: whoever finds it taken (or was forked
// off while another thread held it) does without the pool.
struct Pool {
    std::mutex mutex;
    MemoryBlock kept[most_blocks];  // oldest first
    int count = 0;
    std::size_t bytes = 0;

    MemoryBlock remove(int i) {
        const MemoryBlock block = kept[i];
        for (--count; i < count; ++i) kept[i] = kept[i + 1];
        bytes -= block.bytes;
        return block;
    }
};
Pool& pool() {
    static Pool* const only = new Pool;
    return *only;
}

MemoryBlock fresh(std::size_t bytes) {
    const std::size_t rounded = (bytes + huge_page - 1) / huge_page * huge_page;
    void* const data = rounded < bytes ? nullptr : std::aligned_alloc(huge_page, rounded);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (data) madvise(data, rounded, MADV_HUGEPAGE);  // a fault for each 2 MiB instead of 4 KiB; no harm if refused
#endif
    return {data, data ? rounded : 0};
}

}  // namespace

std::size_t pool_limit() {
    static const std::size_t limit = [] {
        const char* const text = std::getenv("NORMEXP_POOL_MIB");
        char* end = nullptr;
        const unsigned long long mib = text && *text ? std::strtoull(text, &end, 10) : 256;
        return std::size_t(end && *end ? 256 : mib > (1u << 20) ? 1u << 20 : mib) << 20;  // at most a TiB
    }();
    return limit;
}

MemoryBlock take_memory(std::size_t bytes) {
    Pool& p = pool();
    if (const std::unique_lock lock(p.mutex, std::try_to_lock); lock) {
        // The smallest that fits, unless more than half of it would lie idle.
        int best = -1;
        for (int i = 0; i < p.count; ++i)
            if (p.kept[i].bytes >= bytes && p.kept[i].bytes / 2 <= bytes &&
                (best < 0 || p.kept[i].bytes < p.kept[best].bytes))
                best = i;
        if (best >= 0) return p.remove(best);
    }
    return fresh(bytes);
}

void give_memory(MemoryBlock block) {
    Pool& p = pool();
    if (block.bytes <= pool_limit())
        if (const std::unique_lock lock(p.mutex, std::try_to_lock); lock) {
            while (p.count && (p.count == most_blocks || p.bytes + block.bytes > pool_limit()))
                std::free(p.remove(0).data);
            p.kept[p.count++] = block, p.bytes += block.bytes;
            return;
        }
    std::free(block.data);
}

}  // namespace normexp
