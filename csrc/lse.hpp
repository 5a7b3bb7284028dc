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
#include "single.hpp"
#include "steps.hpp"

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

// 1 / temperature in two words, over `unit`: 2^-128 for temperatures whose reciprocal is no normal number, or nearly so.
struct Scale {
    double factor = 1.0, factor_rest = 0.0, unit = 1.0;
};

// (x - max) * factor. In one word the subtraction of two floats is exact where it matters: it rounds at 2^-53 of a
// difference that is at most 150 where exp is not zero. Doubles need the second word.
template <class Width, bool scaled, class V>
NORMEXP_INLINE Num<Width, V> difference(V x, V max, const Scale& scale) {
    if constexpr (!Width::two_words) {
        const V d = x - max;
        return scaled ? d * broadcast<V>(scale.factor) * broadcast<V>(scale.unit) : d;
    } else {
        if constexpr (!scaled) return two_sum(x, -max);
        // Of logits near the largest double, x - max may overflow where (x - max) * factor does not: there it is taken
        // of a quarter of both. (What that rounds off of a subnormal x is nothing beside such a max.)
        const V huge = broadcast<V>(0x1p1000), one = broadcast<V>(1.0);
        const V quarter = where_greater(max, huge, broadcast<V>(0.25), one);
        const V four = where_greater(max, huge, broadcast<V>(4.0 * scale.unit), broadcast<V>(scale.unit));
        const Two<V> d = two_sum(x * quarter, -max * quarter);
        const Two<V> product = two_product(d.hi, broadcast<V>(scale.factor));
        const V low = fma(d.hi, broadcast<V>(scale.factor_rest), fma(d.lo, broadcast<V>(scale.factor), product.lo));
        return {product.hi * four, low * four};
    }
}

// Sum of sixteen partial sums in the order of sum_lanes(). Those from `used` on are zero, and are passed over.
template <int count = lane_count, class N>
NORMEXP_INLINE N tree_sum(N* partial, std::int64_t used = lane_count) {
    for (int width = count / 2; width > 0; width /= 2)
        for (int i = 0; i < width && i + width < used; ++i) partial[i] = add(partial[i], partial[i + width]);
    return partial[0];
}
NORMEXP_INLINE Two<double> sum_lanes(Two<Lanes> v) {
    double hi[lane_count], lo[lane_count];
    store_doubles(hi, v.hi);
    store_doubles(lo, v.lo);
    Two<double> buffer[lane_count];
    for (int i = 0; i < lane_count; ++i) buffer[i] = {hi[i], lo[i]};
    return tree_sum(buffer);
}

// Set one lane to zero; keep the first ones.
NORMEXP_INLINE void clear_lane(Lanes& v, int lane) { v = set_lane(v, lane, 0.0); }
NORMEXP_INLINE void clear_lane(FloatLanes& v, int lane) { v = without_lane(v, lane); }
NORMEXP_INLINE void clear_lane(Two<FloatLanes>& v, int lane) { clear_lane(v.hi, lane), clear_lane(v.lo, lane); }
NORMEXP_INLINE Two<FloatLanes> zero_where(LaneMask mask, Two<FloatLanes> v) {
    return {zero_where(mask, v.hi), zero_where(mask, v.lo)};
}
NORMEXP_INLINE void clear_lane(Two<Lanes>& v, int lane) { clear_lane(v.hi, lane), clear_lane(v.lo, lane); }
NORMEXP_INLINE Two<Lanes> first_lanes(Two<Lanes> v, int count) {
    return {first_lanes(v.hi, count), first_lanes(v.lo, count)};
}
NORMEXP_INLINE Two<FloatLanes> first_lanes(Two<FloatLanes> v, int count) {
    return {first_lanes(v.hi, count), first_lanes(v.lo, count)};
}

// The state of both together. Equal maxima (two -inf among them) need no exp, and inf - inf must not be formed.
template <class Width, bool scaled, class V>
NORMEXP_INLINE State<Width, V> merge(const State<Width, V>& a, const State<Width, V>& b, const Scale& scale) {
    const V one = broadcast<V>(1.0), zero = broadcast<V>(0.0);
    const V top = where_greater(b.max, a.max, b.max, a.max), bottom = where_greater(b.max, a.max, a.max, b.max);
    const auto top_rest = where_greater(b.max, a.max, b.rest, a.rest);
    const auto bottom_rest = where_greater(b.max, a.max, a.rest, b.rest);
    const V safe_top = where_equal(top, bottom, zero, top), safe_bottom = where_equal(top, bottom, zero, bottom);
    const auto moved =
        multiply(add(one, bottom_rest),
                 scale_by(exp<Width>(difference<Width, scaled>(safe_bottom, safe_top, scale)), Width::unscale));
    return {top, add(top_rest, moved)};
}

// Softmax of an element is exp(x - base) * exp(base - max) / (1 + rest), with its block's own max for the base, so that
// the exponentials of the reduction can be kept. A block so far below the row's max that the second factor would leave
// the normal numbers takes the row's max.
template <class Width, bool scaled, class V>
NORMEXP_INLINE V base_of(V block_max, V max, const Scale& scale) {
    // With the excess of exp and a sum of 2^40, e^-400 still leaves a factor and its second word above 2^-1022. In
    // floats: 2^-60 (the excess) e^-7 2^-27 (a row of 2^27) is 2^-98.
    const V limit = broadcast<V>(Width::lowest_base);
    const V distance = leading(difference<Width, scaled>(block_max, max, scale));
    return where_greater(distance, limit, block_max, max);
}
template <class Width, bool scaled, class V>
NORMEXP_INLINE Num<Width, V> factor_of(V base, const State<Width, V>& state, const Scale& scale) {
    const auto inverse = scale_by(reciprocal(add(broadcast<V>(1.0), state.rest)), Width::unscale);
    if constexpr (__is_same(V, double))
        if (base == state.max) return inverse;  // the factor below is exactly 1
    const auto moved = scale_by(exp<Width>(difference<Width, scaled>(base, state.max, scale)), Width::unscale);
    return multiply(moved, inverse);
}

// Whether a block whose exponentials are measured from `base` is computed in float arithmetic.
template <class Width, bool scaled>
NORMEXP_INLINE bool is_single(double base) {
    if constexpr (!__is_same(Width, Single) || scaled) return false;
    return base >= -single_limit && base <= single_limit;
}
NORMEXP_INLINE double single_factor(double base) {
    const float rounder = float(single_rounder);
    const float steps = __builtin_fmaf(float(base), float(single_per_unit), rounder) - rounder;
    return single_correction(base, double(steps));
}
NORMEXP_INLINE Lanes single_factor(Lanes base) { return single_correction(base, widen(single_steps(narrow(base)))); }
// Partial sums in two words, of which the second comes to less than 2^-16 of the whole: adding those in floats loses 2^-40.
NORMEXP_INLINE double sum_lanes(Lanes first, FloatLanes second) { return sum_lanes(first) + double(sum_lanes(second)); }
template <int count = lane_count>
NORMEXP_INLINE Lanes tree_sum(Lanes* first, FloatLanes* second, std::int64_t used) {
    return tree_sum<count>(first, used) + widen(tree_sum<count>(second, used));
}
NORMEXP_INLINE double single_rest(double sum, double factor) {
    const double rest = sum * factor;
    return rest < single_nothing ? 0.0 : rest;
}
NORMEXP_INLINE Lanes single_rest(Lanes sum, Lanes factor) {
    const Lanes rest = sum * factor;
    return where_greater(broadcast<Lanes>(single_nothing), rest, broadcast<Lanes>(0.0), rest);
}
NORMEXP_INLINE void keep_single(Lanes* to, Two<FloatLanes> e) {
    auto* floats = reinterpret_cast<float*>(to);
    store_floats(floats, e.hi), store_floats(floats + lane_count, e.lo);
}
NORMEXP_INLINE void keep_single(Lanes* to, FloatLanes e) { store_floats(reinterpret_cast<float*>(to), e); }
template <class T>
NORMEXP_INLINE Exp<T> kept_single(const Lanes* from) {
    const auto* floats = reinterpret_cast<const float*>(from);
    if constexpr (__is_same(Exp<T>, FloatLanes))
        return load_floats(floats);
    else
        return {load_floats(floats), load_floats(floats + lane_count)};
}

// Of a block of one row: first words, then second words, so that sixteen can be taken from any place on.
NORMEXP_INLINE void keep_in_block(Lanes* block, std::int64_t at, Two<FloatLanes> e) {
    auto* floats = reinterpret_cast<float*>(block) + at;
    store_floats(floats, e.hi), store_floats(floats + block_size, e.lo);
}
NORMEXP_INLINE void keep_in_block(Lanes* block, std::int64_t at, FloatLanes e) {
    store_floats(reinterpret_cast<float*>(block) + at, e);
}
template <class T>
NORMEXP_INLINE Exp<T> kept_in_block(const Lanes* block, std::int64_t at) {
    const auto* floats = reinterpret_cast<const float*>(block) + at;
    if constexpr (__is_same(Exp<T>, FloatLanes))
        return load_floats(floats);
    else
        return {load_floats(floats), load_floats(floats + block_size)};
}

// ---- a block of one row: lanes along the row -------------------------------------------------------------------------

template <class T>
NORMEXP_INLINE double block_max(const T* x, std::int64_t count) {
    using L = typename Compared<T>::Type;
    const L low = broadcast<L>(-infinity);
    L best[4] = {low, low, low, low};  // four, because each step waits for the one before
    std::int64_t at = 0;
    for (; at + 4 * lane_count <= count; at += 4 * lane_count)
        for (int k = 0; k < 4; ++k) best[k] = larger(best[k], load_compared(x + at + k * lane_count));
    for (; at + lane_count <= count; at += lane_count) best[0] = larger(best[0], load_compared(x + at));
    if (at < count) best[1] = larger(best[1], load_compared_first(x + at, int(count - at), x[0]));
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
        const unsigned bits =
            equal_lanes(load_compared_first(x + at, int(count - at), x[0]), value) & ((1u << (count - at)) - 1);
        if (bits) return at + __builtin_ctz(bits);
    }
    return count;
}

// Visits [0, count) in order: run_of(at) for runs of single_pack sixteens, whole(at) for sixteens, and part(at, lane to leave out, lanes) for
// the one sixteen that holds index `special` and for the last 1 to 15.
template <int run_length, class Run, class Whole, class Part>
NORMEXP_INLINE void visit_sixteens(std::int64_t count, std::int64_t special, Run run_of, Whole whole, Part part) {
    const std::int64_t full = count / lane_count * lane_count;
    const std::int64_t stop = special < full ? special / lane_count * lane_count : full;
    const auto until = [&](std::int64_t at, std::int64_t end) NORMEXP_INLINE_LAMBDA {
        for (; at + run_length <= end; at += run_length) run_of(at);
        for (; at < end; at += lane_count) whole(at);
        return at;
    };
    std::int64_t at = 0;
    while (at < full) {  // twice at most; a loop, so that `until` is one body in the program
        at = until(at, at <= stop ? stop : full);
        if (at == stop && at < full) part(at, int(special - at), lane_count), at += lane_count;
    }
    if (at < count) part(at, special >= at ? int(special - at) : lane_count, int(count - at));
}

template <class T>
NORMEXP_INLINE auto load_compared_part(const T* x, std::int64_t at, int count) {
    return count == lane_count ? load_compared(x + at) : load_compared_first(x + at, count, x[0]);
}

// What comes next in memory, the next block or row, arrives while this one is computed.
NORMEXP_INLINE void prefetch_behind(const void* x) { __builtin_prefetch(x); }

// A sum of floats without error, all of them below 2^61: it starts at 2^61, so that the smaller addend of every step is
// the new one, and what that step rounds off can be taken back (Dekker's fast two-sum). What is rounded off is below 2^-16
// of the largest term, 2^60; it goes into `low`, whose own roundings are below 2^-40 each.
struct BiasedSum {
    FloatLanes sum, low;
};
constexpr double sum_bias = 0x1p61;
NORMEXP_INLINE BiasedSum biased_sum() { return {broadcast<FloatLanes>(sum_bias), broadcast<FloatLanes>(0.0)}; }
NORMEXP_INLINE void fold_into(BiasedSum& s, Two<FloatLanes> e) {
    const FloatLanes sum = s.sum + e.hi;
    s.low = s.low + ((e.hi - (sum - s.sum)) + e.lo);
    s.sum = sum;
}
NORMEXP_INLINE Two<FloatLanes> value_of(const BiasedSum& s) {
    return {s.sum - broadcast<FloatLanes>(sum_bias), s.low};  // exact
}
// Of one-word exponentials, in doubles.
NORMEXP_INLINE void fold_into(Lanes& sum, FloatLanes e) { sum = sum + widen(e); }
NORMEXP_INLINE Lanes value_of(Lanes sum) { return sum; }

// Of one-word exponentials there is nothing to add.
NORMEXP_INLINE FloatLanes add_second_word(FloatLanes sum, Lanes) { return sum; }

// Either, as it begins.
template <class T>
NORMEXP_INLINE auto no_shares() {
    if constexpr (__is_same(Exp<T>, FloatLanes))
        return broadcast<Lanes>(0.0);
    else
        return biased_sum();
}
NORMEXP_INLINE Lanes whole_first(Two<FloatLanes> v) { return widen(v.hi); }
NORMEXP_INLINE Lanes whole_first(FloatLanes v) { return widen(v); }
NORMEXP_INLINE Lanes whole_first(Lanes v) { return v; }
NORMEXP_INLINE double sum_of_lanes(Two<FloatLanes> v) { return sum_lanes(widen(v.hi), v.lo); }
NORMEXP_INLINE double sum_of_lanes(Lanes v) { return sum_lanes(v); }
NORMEXP_INLINE double sum_of_lanes(FloatLanes v) { return sum_lanes(widen(v)); }

// The sum of a block's exponentials as exp_single() makes them, for softmax: it needs the sum, but not relative to the
// largest term, which is not left out. Cheaper than fold_single(), which keeps the digits of a small rest by adding in
// double (docs/performance.md).
template <bool keep, class T>
NORMEXP_INLINE double sum_shares(const T* x, std::int64_t count, double from, Lanes* kept, const char* out) {
    const SingleBase base = single_base(broadcast<FloatLanes>(from));
    if (count <= lane_count) {  // nothing to add up but the lanes
        const Exp<T> e = exp_of<T>(load_compared_part(x, 0, int(count)), base);
        if constexpr (keep) keep_in_block(kept, 0, e);
        return sum_of_lanes(first_lanes(e, int(count)));
    }
    auto sum = no_shares<T>();
    visit_sixteens<single_pack * lane_count>(
        count, count,
        [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
            const auto e = exp_of<T>(
                each<single_pack>([&](int i) NORMEXP_INLINE_LAMBDA { return load_floats(x + at + i * lane_count); }),
                base);
#pragma GCC unroll 8
            for (int i = 0; i < single_pack; ++i) {
                prefetch_behind(x + count + at + i * lane_count);
                if (out) __builtin_prefetch(out + (at + i * lane_count) * sizeof(T), 1);
                if constexpr (keep) keep_in_block(kept, at + i * lane_count, part(e, i));
                fold_into(sum, part(e, i));
            }
        },
        [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
            const Exp<T> e = exp_of<T>(load_floats(x + at), base);
            if constexpr (keep) keep_in_block(kept, at, e);
            fold_into(sum, e);
        },
        [&](std::int64_t at, int, int valid) NORMEXP_INLINE_LAMBDA {
            const Exp<T> e = exp_of<T>(load_compared_first(x + at, valid, x[0]), base);
            if constexpr (keep) keep_in_block(kept, at, e);
            fold_into(sum, first_lanes(e, valid));
        });
    return sum_of_lanes(value_of(sum));
}

template <bool keep, class T>
NORMEXP_INLINE double fold_single(const T* x, std::int64_t count, double from, std::int64_t skipped, Lanes* kept) {
    const SingleBase base = single_base(broadcast<FloatLanes>(from));
    const double factor = single_factor(from);  // before the loop: it does not wait for the sum
    Lanes sum = broadcast<Lanes>(0.0);
    FloatLanes low = broadcast<FloatLanes>(0.0);
    const auto fold = [&](Exp<T> e) NORMEXP_INLINE_LAMBDA {
        sum = sum + widen(first_word(e));
        low = add_second_word(low, e);
    };
    visit_sixteens<single_pack * lane_count>(
        count, skipped,
        [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
            const auto e = exp_of<T>(
                each<single_pack>([&](int i) NORMEXP_INLINE_LAMBDA { return load_floats(x + at + i * lane_count); }),
                base);
#pragma GCC unroll 8
            for (int i = 0; i < single_pack; ++i) {
                prefetch_behind(x + count + at + i * lane_count);
                if constexpr (keep) keep_in_block(kept, at + i * lane_count, part(e, i));
                fold(part(e, i));
            }
        },
        [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
            const Exp<T> e = exp_of<T>(load_floats(x + at), base);
            if constexpr (keep) keep_in_block(kept, at, e);
            fold(e);
        },
        [&](std::int64_t at, int left_out, int valid) NORMEXP_INLINE_LAMBDA {
            Exp<T> e =
                exp_of<T>(valid == lane_count ? load_floats(x + at) : load_compared_first(x + at, valid, x[0]), base);
            if constexpr (keep) keep_in_block(kept, at, e);
            if (left_out < lane_count) clear_lane(e, left_out);
            if (valid < lane_count) e = first_lanes(e, valid);
            fold(e);
        });
    return single_rest(sum_lanes(sum, low), factor);
}

// Reduces x[0 .. count), count <= block_size. With `keep`, leaves excess * exp(x - max) in `kept`, for the map to come.
// for_softmax: the sum is all that is wanted of the state. out: where the results will go, if it helps to say so.
template <class Width, bool scaled, bool keep, bool for_softmax, class T>
static State<Width, double> fold_block(const T* x, std::int64_t count, const Scale& scale, Num<Width, Lanes>* kept,
                                       const char* out = nullptr) {
    const double max = block_max(x, count);
    if (max == infinity) return {max, number<Num<Width, double>>(quiet_nan)};
    // All -inf, or NaN: measure from 0, which gives exp(-inf) = 0 and keeps NaN.
    const double from = max == -infinity ? 0.0 : max;
    if constexpr (for_softmax && __is_same(Width, Single) && !scaled)
        if (is_single<Width, scaled>(from))
            return {max, sum_shares<keep>(x, count, from, kept, out) * single_factor(from) - 1.0};
    const std::int64_t skipped = first_equal(x, count, max);
    if constexpr (__is_same(Width, Single) && !scaled)
        if (is_single<Width, scaled>(from)) return {max, fold_single<keep>(x, count, from, skipped, kept)};

    const Lanes shift = broadcast<Lanes>(from);
    auto sum = number<Num<Width, Lanes>>(0.0);
    const auto exp_of = [&](Lanes logits, std::int64_t at) NORMEXP_INLINE_LAMBDA {
        const Num<Width, Lanes> e = exp_of_block<Width>(difference<Width, scaled>(logits, shift, scale));
        if constexpr (keep) kept[at / lane_count] = e;
        return e;
    };
    const auto whole = [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
        prefetch_behind(x + count + at);
        sum = accumulate(sum, exp_of(load(x + at), at));
    };
    visit_sixteens<lane_count>(
        count, skipped, whole, whole, [&](std::int64_t at, int left_out, int valid) NORMEXP_INLINE_LAMBDA {
            Num<Width, Lanes> e = exp_of(valid == lane_count ? load(x + at) : load_first(x + at, valid, x[0]), at);
            if (left_out < lane_count) clear_lane(e, left_out);
            if (valid < lane_count) e = first_lanes(e, valid);
            sum = accumulate(sum, e);
        });
    return {max, scale_by(sum_lanes(sum), Width::unscale)};
}

}  // namespace normexp::NORMEXP_LEVEL
