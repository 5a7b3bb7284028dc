// The one idea: a row of logits is reduced to a log-sum-exp state, and states merge.
//
//     max   the largest logit        rest   sum of exp(x - max) over all the others        logsumexp = max + log(1 + rest)
//
// The largest term itself, exp(0) = 1, is left out of rest, once: added to 1, a rest of 1e-20 would vanish, and with it
// the log-softmax of a confident row (Blanchard, Higham & Higham, IMA J. Numer. Anal. 41(4), 2021). Merging two states
// puts the smaller one on the larger one's scale. Any grouping is right; this engine always uses the same one, so that
// results have the same bits: blocks of 2048 logits, sixteen lanes in each, folded from left to right.
#pragma once

#include "log1p.hpp"

namespace normexp::NORMEXP_LEVEL {

constexpr int block_size = 2048;  // float32: 8 KiB of logits and 16 KiB of kept exponentials fit the first-level cache
constexpr double infinity = __builtin_inf();
constexpr double largest_finite = 0x1.fffffffffffffp1023;
constexpr double quiet_nan = __builtin_nan("");

template <class Width, class V>
struct State {
    V max;
    Num<Width, V> rest;
};

// What stands between a logit and the exponent besides the row's max: softmin's sign, and 1 / temperature in two words.
struct Scale {
    double sign = 1.0, factor = 1.0, factor_rest = 0.0;
};

// (x - max) * factor. In one word the subtraction of two floats is exact where it matters: it rounds at 2^-53 of a
// difference that is at most 150 where exp is not zero. Doubles need the second word.
template <class Width, bool scaled, class V>
NORMEXP_INLINE Num<Width, V> difference(V x, V max, const Scale& scale) {
    if constexpr (!Width::two_words) {
        const V d = x - max;
        return scaled ? d * broadcast<V>(scale.factor) : d;
    } else {
        const Two<V> d = two_sum(x, -max);
        if constexpr (!scaled) return d;
        const Two<V> product = two_product(d.hi, broadcast<V>(scale.factor));
        return {product.hi, fma(d.hi, broadcast<V>(scale.factor_rest), fma(d.lo, broadcast<V>(scale.factor), product.lo))};
    }
}

// Sum of sixteen partial sums in a fixed order. Works for double[16], Lanes[16] and their two-word forms.
template <class N>
NORMEXP_INLINE N tree_sum(N* partial) {
    for (int width = lane_count / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) partial[i] = add(partial[i], partial[i + width]);
    return partial[0];
}
NORMEXP_INLINE double sum_lanes(Lanes v) {
    double buffer[lane_count];
    store_doubles(buffer, v);
    return tree_sum(buffer);
}
NORMEXP_INLINE Two<double> sum_lanes(Two<Lanes> v) {
    double hi[lane_count], lo[lane_count];
    store_doubles(hi, v.hi);
    store_doubles(lo, v.lo);
    Two<double> buffer[lane_count];
    for (int i = 0; i < lane_count; ++i) buffer[i] = {hi[i], lo[i]};
    return tree_sum(buffer);
}

// Set one lane, or all lanes from `count` on, to zero.
NORMEXP_INLINE void clear_lane(Lanes& v, int lane) { v = set_lane(v, lane, 0.0); }
NORMEXP_INLINE void clear_lane(Two<Lanes>& v, int lane) { clear_lane(v.hi, lane), clear_lane(v.lo, lane); }
NORMEXP_INLINE void clear_from(Lanes& v, int count) { v = set_from(v, count, 0.0); }
NORMEXP_INLINE void clear_from(Two<Lanes>& v, int count) { clear_from(v.hi, count), clear_from(v.lo, count); }

// The state of both together. Equal maxima (two -inf among them) need no exp, and inf - inf must not be formed.
template <class Width, bool scaled, class V>
NORMEXP_INLINE State<Width, V> merge(const State<Width, V>& a, const State<Width, V>& b, const Scale& scale) {
    const V one = broadcast<V>(1.0), zero = broadcast<V>(0.0);
    const V top = where_greater(b.max, a.max, b.max, a.max), bottom = where_greater(b.max, a.max, a.max, b.max);
    const auto top_rest = where_greater(b.max, a.max, b.rest, a.rest);
    const auto bottom_rest = where_greater(b.max, a.max, a.rest, b.rest);
    const V safe_top = where_equal(top, bottom, zero, top), safe_bottom = where_equal(top, bottom, zero, bottom);
    const auto moved = multiply(add(one, bottom_rest),
                                scale_by(exp<Width>(difference<Width, scaled>(safe_bottom, safe_top, scale)), Width::unscale));
    return {top, add(top_rest, moved)};
}

// ---- a block of one row: lanes along the row -------------------------------------------------------------------------

// The last 1 to 15 elements, with the block's first element for the rest of the lanes.
template <class T>
NORMEXP_INLINE void copy_tail(T* padded, const T* x, std::int64_t at, std::int64_t count) {
    const std::int64_t left = count - at;
    for (int lane = 0; lane < lane_count; ++lane) padded[lane] = x[0];
    std::memcpy(padded, x + at, std::size_t(left) * sizeof(T));
}

template <class T>
NORMEXP_INLINE double block_max(const T* x, std::int64_t count, double sign) {
    using L = typename Compared<T>::Type;
    const L low = broadcast<L>(-infinity);
    L best[4] = {low, low, low, low};  // four, because each step waits for the one before
    std::int64_t at = 0;
    if (sign > 0) {
        for (; at + 4 * lane_count <= count; at += 4 * lane_count)
            for (int k = 0; k < 4; ++k) best[k] = larger(best[k], load_compared(x + at + k * lane_count));
        for (; at + lane_count <= count; at += lane_count) best[0] = larger(best[0], load_compared(x + at));
    } else {
        for (; at + lane_count <= count; at += lane_count) best[0] = larger(best[0], load_compared(x + at) * -1.0f);
    }
    if (at < count) {
        T padded[lane_count];
        copy_tail(padded, x, at, count);
        best[1] = larger(best[1], load_compared(padded) * float(sign));
    }
    return largest(larger(larger(best[0], best[1]), larger(best[2], best[3])));
}

// Index of the first element equal to `value`, or count when there is none (a NaN).
template <class T>
NORMEXP_INLINE std::int64_t first_equal(const T* x, std::int64_t count, double value) {
    std::int64_t at = 0;
    for (; at + lane_count <= count; at += lane_count)
        if (const unsigned bits = equal_lanes(load_compared(x + at), value)) return at + __builtin_ctz(bits);
    if (at < count) {
        T padded[lane_count];
        copy_tail(padded, x, at, count);
        if (const unsigned bits = equal_lanes(load_compared(padded), value)) {
            const std::int64_t index = at + __builtin_ctz(bits);
            return index < count ? index : 0;
        }
    }
    return count;
}

// Reduces x[0 .. count), count <= block_size. With `kept`, leaves excess * exp(x - max) there, for the map that follows.
template <class Width, bool scaled, class T>
static State<Width, double> fold_block(const T* x, std::int64_t count, const Scale& scale, Num<Width, Lanes>* kept) {
    const double max = block_max(x, count, scaled ? scale.sign : 1.0);
    if (max == infinity) return {max, number<Num<Width, double>>(quiet_nan)};
    // All -inf, or NaN: measure from 0, which gives exp(-inf) = 0 and keeps NaN.
    const double from = max == -infinity ? 0.0 : max;
    const std::int64_t skipped = first_equal(x, count, scaled ? scale.sign * max : max);

    const Lanes shift = broadcast<Lanes>(from), sign = broadcast<Lanes>(scale.sign);
    auto sum = number<Num<Width, Lanes>>(0.0);
    const auto fold = [&](Lanes logits, std::int64_t at, std::int64_t valid) NORMEXP_INLINE_LAMBDA {
        if constexpr (scaled) logits = logits * sign;
        Num<Width, Lanes> e = exp<Width>(difference<Width, scaled>(logits, shift, scale));
        if (kept) kept[at / lane_count] = e;
        if (std::uint64_t(skipped - at) < lane_count) clear_lane(e, int(skipped - at));
        if (valid < lane_count) clear_from(e, int(valid));
        sum = accumulate(sum, e);
    };
    std::int64_t at = 0;
    for (; at + lane_count <= count; at += lane_count) fold(load(x + at), at, lane_count);
    if (at < count) {
        T padded[lane_count];
        copy_tail(padded, x, at, count);
        fold(load(padded), at, count - at);
    }
    return {max, scale_by(sum_lanes(sum), Width::unscale)};
}

}  // namespace normexp::NORMEXP_LEVEL
