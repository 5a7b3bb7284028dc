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

// Softmax of an element is exp(x - base) * exp(base - max) / (1 + rest), with its block's own max for the base, so that
// the exponentials of the reduction can be kept. A block so far below the row's max that the second factor would leave
// the normal numbers takes the row's max.
template <class Width, bool scaled, class V>
NORMEXP_INLINE V base_of(V block_max, V max, const Scale& scale) {
    const V limit = broadcast<V>(-400.0);  // e^-400 / (2^256 * 2^40) with its second word is still above 2^-1022
    const V distance = leading(difference<Width, scaled>(block_max, max, scale));
    return where_greater(distance, limit, block_max, max);
}
template <class Width, bool scaled, class V>
NORMEXP_INLINE Num<Width, V> factor_of(V base, const State<Width, V>& state, const Scale& scale) {
    const auto inverse = scale_by(reciprocal(add(broadcast<V>(1.0), state.rest)), Width::unscale);
    const auto moved = scale_by(exp<Width>(difference<Width, scaled>(base, state.max, scale)), Width::unscale);
    return multiply(moved, inverse);
}

// ---- a block of one row: lanes along the row -------------------------------------------------------------------------

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
    if (at < count) best[1] = larger(best[1], load_compared_first(x + at, int(count - at), x[0]) * float(sign));
    return largest(larger(larger(best[0], best[1]), larger(best[2], best[3])));
}

// Index of the first element equal to `value`, or count when there is none (a NaN).
template <class T>
NORMEXP_INLINE std::int64_t first_equal(const T* x, std::int64_t count, double value) {
    std::int64_t at = 0;
    const auto equal = [&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return equal_lanes(load_compared(x + i), value); };
    for (; at + 4 * lane_count <= count; at += 4 * lane_count)
        if (equal(at) | equal(at + lane_count) | equal(at + 2 * lane_count) | equal(at + 3 * lane_count)) break;
    for (; at + lane_count <= count; at += lane_count)
        if (const unsigned bits = equal(at)) return at + __builtin_ctz(bits);
    if (at < count) {
        const unsigned bits = equal_lanes(load_compared_first(x + at, int(count - at), x[0]), value) & ((1u << (count - at)) - 1);
        if (bits) return at + __builtin_ctz(bits);
    }
    return count;
}

// Reduces x[0 .. count), count <= block_size. With `keep`, leaves excess * exp(x - max) in `kept`, for the map to come.
template <class Width, bool scaled, bool keep, class T>
static State<Width, double> fold_block(const T* x, std::int64_t count, const Scale& scale, Num<Width, Lanes>* kept) {
    const double max = block_max(x, count, scaled ? scale.sign : 1.0);
    if (max == infinity) return {max, number<Num<Width, double>>(quiet_nan)};
    // All -inf, or NaN: measure from 0, which gives exp(-inf) = 0 and keeps NaN.
    const double from = max == -infinity ? 0.0 : max;
    const std::int64_t skipped = first_equal(x, count, scaled ? scale.sign * max : max);

    const Lanes shift = broadcast<Lanes>(from), sign = broadcast<Lanes>(scale.sign);
    auto sum = number<Num<Width, Lanes>>(0.0);
    const auto exp_of = [&](Lanes logits, std::int64_t at) NORMEXP_INLINE_LAMBDA {
        // What comes next in memory, the next block or row, arrives while this one is computed.
        __builtin_prefetch(reinterpret_cast<const char*>(x + count + at));
        if constexpr (scaled) logits = logits * sign;
        const Num<Width, Lanes> e = exp<Width>(difference<Width, scaled>(logits, shift, scale));
        if constexpr (keep) kept[at / lane_count] = e;
        return e;
    };
    // Whole sixteens up to the one with the largest element, that one, and those after it.
    const std::int64_t whole = count / lane_count * lane_count;
    const std::int64_t special = skipped < whole ? skipped / lane_count * lane_count : whole;
    std::int64_t at = 0;
    for (; at < special; at += lane_count) sum = accumulate(sum, exp_of(load(x + at), at));
    if (at < whole) {
        Num<Width, Lanes> e = exp_of(load(x + at), at);
        clear_lane(e, int(skipped - at));
        sum = accumulate(sum, e);
        at += lane_count;
    }
    for (; at < whole; at += lane_count) sum = accumulate(sum, exp_of(load(x + at), at));
    if (at < count) {
        Num<Width, Lanes> e = exp_of(load_first(x + at, int(count - at), x[0]), at);
        if (skipped >= at && skipped < count) clear_lane(e, int(skipped - at));
        clear_from(e, int(count - at));
        sum = accumulate(sum, e);
    }
    return {max, scale_by(sum_lanes(sum), Width::unscale)};
}

}  // namespace normexp::NORMEXP_LEVEL
