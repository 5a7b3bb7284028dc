// From rows to lanes and back: sixteen rows of a few classes each, and a block that holds class i of all sixteen in
// elements [16 i, 16 i + 16). Four by four at a time, in registers: element by element, a load and a store each, this
// took longer than the exponentials (docs/performance.md).
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.hpp"

namespace normexp::NORMEXP_LEVEL {

// Four elements of so many bytes.
template <int bytes>
struct Quad;
template <>
struct Quad<2> {
    using Type = std::uint16_t __attribute__((vector_size(8)));
};
template <>
struct Quad<4> {
    using Type = std::uint32_t __attribute__((vector_size(16)));
};
template <>
struct Quad<8> {
    using Type = std::uint64_t __attribute__((vector_size(32)));
};

// Four rows of four, transposed on the way from `from` to `to`; the steps are from row to row, in bytes.
template <class T>
NORMEXP_INLINE void transpose_four(const char* from, std::int64_t from_step, char* to, std::int64_t to_step) {
    using V = typename Quad<sizeof(T)>::Type;
    V a, b, c, d;
    std::memcpy(&a, from, sizeof a), std::memcpy(&b, from + from_step, sizeof b);
    std::memcpy(&c, from + 2 * from_step, sizeof c), std::memcpy(&d, from + 3 * from_step, sizeof d);
    const V ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const V cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const V rows[4] = {
        __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * to_step, &rows[i], sizeof a);
}

// f(first of four classes); the last four overlap those before where four does not divide the length.
template <class F>
NORMEXP_INLINE void each_four(std::int64_t length, F f) {
    for (std::int64_t i = 0; i + 4 <= length; i += 4) f(i);
    if (length % 4) f(length - 4);
}

// rows: the first row's classes, side by side; the other fifteen follow, `apart` bytes from one another. At least four.
template <class T>
NORMEXP_INLINE void rows_to_lanes(const char* rows, std::int64_t apart, std::int64_t length, T* block) {
    constexpr std::int64_t item = sizeof(T);
    each_four(length, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
#pragma GCC unroll 4
        for (int lane = 0; lane < lane_count; lane += 4)
            transpose_four<T>(rows + lane * apart + i * item, apart,
                              reinterpret_cast<char*>(block + i * lane_count + lane), lane_count * item);
    });
}
template <class T>
NORMEXP_INLINE void lanes_to_rows(const T* block, std::int64_t length, char* rows, std::int64_t apart) {
    constexpr std::int64_t item = sizeof(T);
    each_four(length, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
#pragma GCC unroll 4
        for (int lane = 0; lane < lane_count; lane += 4)
            transpose_four<T>(reinterpret_cast<const char*>(block + i * lane_count + lane), lane_count * item,
                              rows + lane * apart + i * item, apart);
    });
}

}  // namespace normexp::NORMEXP_LEVEL
