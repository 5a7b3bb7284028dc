// From rows to lanes and back: sixteen rows of a few classes each, and a block that holds class i of all sixteen in
// elements [16 i, 16 i + 16). Four classes of as many rows at a time as a vector has room for, in registers: element by
// element, a load and a store each, this took longer than the exponentials; four rows at a time, stored as quarters of
// what is loaded next, it made the loads wait (docs/performance.md).
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class T>
NORMEXP_INLINE void store_any(T* to, Lanes v) {
    store(to, v);
}
template <class T>
NORMEXP_INLINE void store_any(T* to, FloatLanes v) {
    store_floats(to, v);
}

template <int bytes>
struct Unsigned;
template <>
struct Unsigned<2> {
    using Type = std::uint16_t;
};
template <>
struct Unsigned<4> {
    using Type = std::uint32_t;
};
template <>
struct Unsigned<8> {
    using Type = std::uint64_t;
};
template <class E, int count>
struct Elements {
    using Type __attribute__((vector_size(count * sizeof(E)))) = E;
};

// As many fours of elements as a vector has room for, at most those of all sixteen rows.
template <class T>
struct Fours {
    using Element = typename Unsigned<sizeof(T)>::Type;
    static constexpr int room = NORMEXP_VECTOR_BYTES / int(4 * sizeof(T));
    static constexpr int count = room > 4 ? 4 : room < 1 ? 1 : room;
    using Type = typename Elements<Element, 4 * count>::Type;

    // The f-th four lies at from + f * step.
    NORMEXP_INLINE_LAMBDA static Type load(const char* from, std::int64_t step) {
        using One = typename Elements<Element, 4>::Type;
        using Pair = typename Elements<Element, 8>::Type;
        const auto one = [&](int f) NORMEXP_INLINE_LAMBDA {
            One v;
            std::memcpy(&v, from + f * step, sizeof v);
            return v;
        };
        const auto pair = [&](int f) NORMEXP_INLINE_LAMBDA -> Pair {
            return __builtin_shufflevector(one(f), one(f + 1), 0, 1, 2, 3, 4, 5, 6, 7);
        };
        if constexpr (count == 1)
            return one(0);
        else if constexpr (count == 2)
            return pair(0);
        else
            return __builtin_shufflevector(pair(0), pair(2), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
    NORMEXP_INLINE_LAMBDA static void store(char* to, std::int64_t step, Type v) {
#pragma GCC unroll 4
        for (int f = 0; f < count; ++f)
            std::memcpy(to + f * step, reinterpret_cast<const char*>(&v) + f * 4 * sizeof(T), 4 * sizeof(T));
    }
    // Element by element within each four.
    template <int a0, int a1, int a2, int a3>
    NORMEXP_INLINE_LAMBDA static Type mix(Type a, Type b) {
        constexpr int n = 4 * count;  // that of b's first element
        constexpr auto at = [](int index, int four) { return index < 4 ? 4 * four + index : n + 4 * four + index - 4; };
        if constexpr (count == 1)
            return __builtin_shufflevector(a, b, at(a0, 0), at(a1, 0), at(a2, 0), at(a3, 0));
        else if constexpr (count == 2)
            return __builtin_shufflevector(a, b, at(a0, 0), at(a1, 0), at(a2, 0), at(a3, 0), at(a0, 1), at(a1, 1),
                                           at(a2, 1), at(a3, 1));
        else
            return __builtin_shufflevector(a, b, at(a0, 0), at(a1, 0), at(a2, 0), at(a3, 0), at(a0, 1), at(a1, 1),
                                           at(a2, 1), at(a3, 1), at(a0, 2), at(a1, 2), at(a2, 2), at(a3, 2), at(a0, 3),
                                           at(a1, 3), at(a2, 3), at(a3, 3));
    }
};

// Four by four, each four of a vector with those in its place in the others.
template <class T, class V = typename Fours<T>::Type>
NORMEXP_INLINE void transpose_fours(V v[4]) {
    using F = Fours<T>;
    const V ab_low = F::template mix<0, 4, 1, 5>(v[0], v[1]), ab_high = F::template mix<2, 6, 3, 7>(v[0], v[1]);
    const V cd_low = F::template mix<0, 4, 1, 5>(v[2], v[3]), cd_high = F::template mix<2, 6, 3, 7>(v[2], v[3]);
    v[0] = F::template mix<0, 1, 4, 5>(ab_low, cd_low), v[1] = F::template mix<2, 3, 6, 7>(ab_low, cd_low);
    v[2] = F::template mix<0, 1, 4, 5>(ab_high, cd_high), v[3] = F::template mix<2, 3, 6, 7>(ab_high, cd_high);
}

// f(first of four classes); the last four overlap those before where four does not divide the length.
template <class F>
NORMEXP_INLINE void each_four(std::int64_t length, F f) {
    for (std::int64_t i = 0; i + 4 <= length; i += 4) f(i);
    if (length % 4) f(length - 4);
}

// rows: the first row's classes, side by side; the other fifteen follow, `apart` bytes from one another. At least four.
// Rows r, r + 4, r + 8 and r + 12 make up a vector, so that a class's lanes come out in order.
template <class T>
NORMEXP_INLINE void rows_to_lanes(const char* rows, std::int64_t apart, std::int64_t length, T* block) {
    constexpr int together = 4 * Fours<T>::count;
    each_four(length, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
#pragma GCC unroll 4
        for (int lane = 0; lane < lane_count; lane += together) {
            typename Fours<T>::Type v[4];
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                v[k] = Fours<T>::load(rows + (lane + k) * apart + i * std::int64_t(sizeof(T)), 4 * apart);
            transpose_fours<T>(v);
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) std::memcpy(block + (i + k) * lane_count + lane, &v[k], sizeof v[k]);
        }
    });
}
// The same back; class_of(i): sixteen results, FloatLanes or Lanes.
template <class T, class F>
NORMEXP_INLINE void lanes_to_rows(F class_of, std::int64_t length, char* rows, std::int64_t apart) {
    constexpr int together = 4 * Fours<T>::count;
    using V = typename Fours<T>::Type;
    // Sixteen results as elements of T, vector by vector; floats stay in registers.
    struct Sixteen {
        V part[lane_count / together];
    };
    const auto elements = [](auto results) NORMEXP_INLINE_LAMBDA {
        Sixteen r;
        if constexpr (sizeof(T) == 4 && sizeof results == sizeof r) {
            std::memcpy(&r, &results, sizeof r);
        } else {
            alignas(64) T in_memory[lane_count];
            store_any(in_memory, results);
            std::memcpy(&r, in_memory, sizeof r);
        }
        return r;
    };
    each_four(length, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
        const Sixteen four[4] = {elements(class_of(i)), elements(class_of(i + 1)), elements(class_of(i + 2)),
                                 elements(class_of(i + 3))};
#pragma GCC unroll 4
        for (int lane = 0; lane < lane_count; lane += together) {
            V v[4];
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) v[k] = four[k].part[lane / together];
            transpose_fours<T>(v);
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                Fours<T>::store(rows + (lane + k) * apart + i * std::int64_t(sizeof(T)), 4 * apart, v[k]);
        }
    });
}

}  // namespace normexp::NORMEXP_LEVEL
