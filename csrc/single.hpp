// The fast lane: exp in float arithmetic, sixteen at a time, for float16, bfloat16 and float32 logits of ordinary size.
//
// What ruins a float softmax is rounding x - max: at a distance of 16 to 32 that alone costs 16 units in the last place.
// Here it is never formed. x itself is reduced, exactly, and so is the base that the exponentials are measured from:
//
//     x = n ln 2 + r        base = n0 ln 2 + r0        exp(x - base) = 2^(n - n0) e^r * exp(-r0)
//
// The last factor is the same for the whole block, and is applied in double. r and e^r = 1 + t are kept in two floats each:
// rounding them would cost most of the unit that the result may be off by. Errors, relative (docs/accuracy.md): 2^-27.3 (of
// the second word of r), Horner 2^-27, 2^-28.5 for the last step, polynomial 2^-27.9: 2^-25.57, a third of half a unit each
// in an exponential and in their sum.
#pragma once

#include "words.hpp"

namespace normexp::NORMEXP_LEVEL {

// (e^r - 1 - r) / r^2 on |r| <= 0.35 (tools/minimax.py). Error 2^-28.2; with the coefficients rounded to floats, 2^-27.6.
constexpr double single_coefficients[] = {0x1.fffffb56ed0bbp-2, 0x1.55548994c153cp-3, 0x1.555915f7631ddp-5,
                                          0x1.123fb4b6c1aa0p-7, 0x1.6a1a8ea626bd8p-10};
constexpr double single_log2_e = 0x1.715476p+0;
constexpr double single_ln2_first = 0x1.62e43p-1;     // ln 2 in two floats. x - n * first is a multiple of 2^-25 below
constexpr double single_ln2_second = -0x1.05c61p-29;  // 1/2, so a fused multiply-add leaves it without error.
constexpr double single_rounder = 0x1.8p23;           // adding it rounds to an integer and leaves that in the low bits

// Up to this size of the base, n is right to 2^16 * log2(e) * 2^-25 < 0.003, so |r| stays below 0.35.
constexpr double single_limit = 0x1p16;
// Exponentials carry 2^60, so that their second words are normal numbers down to float's smallest subnormal, e^-103.3.
// Further below the base than this they are cut off, at 2^-180, where a million of them still round to nothing.
constexpr int single_excess_bits = 60;
constexpr double single_excess = 0x1p60;
constexpr double single_lowest = 125.0;
constexpr double single_nothing = 0x1p-155;  // a sum below this changes no float: such sums are called 0

// K sixteens worked on in step. exp is one long chain of dependent operations: the processor's window is too small to
// find enough of them in the sixteens to come, so independent ones are put next to each other (docs/performance.md).
template <int K>
struct Pack {
    FloatLanes of[K];
};
// As many as there are registers for: thirty-two at v4; sixteen elsewhere, where a sixteen is several of them already.
constexpr int single_pack = NORMEXP_VECTOR_BYTES == 64 ? 3 : 1;
template <int K, class F>
NORMEXP_INLINE Pack<K> each(F f) {
    Pack<K> r;
#pragma GCC unroll 8
    for (int i = 0; i < K; ++i) r.of[i] = f(i);
    return r;
}

struct SingleBase {
    FloatLanes lowest;  // base - single_lowest
    IntLanes offset;    // turns the low bits that hold n into the exponent of 2^(n - n0 + 60)
};

NORMEXP_INLINE FloatLanes single_shifted(FloatLanes x) {
    return fma(x, broadcast<FloatLanes>(single_log2_e), broadcast<FloatLanes>(single_rounder));
}
NORMEXP_INLINE SingleBase single_base(FloatLanes base) {
    return {base - broadcast<FloatLanes>(single_lowest),
            std::uint32_t(127 + single_excess_bits) - bits_of(single_shifted(base))};
}
// What exp(-r0) is to be taken of: -r0, in double (V is double or Lanes).
template <class V>
NORMEXP_INLINE V single_correction(V base, V rounded_base_n) {
    return fma(rounded_base_n, broadcast<V>(0x1.62e42fefa39efp-1), -base);
}

// hi + lo = 2^60 exp(x - base) exp(r0).
template <int K>
NORMEXP_INLINE Two<Pack<K>> exp_single(Pack<K> x, const SingleBase& base) {
    const auto number = [](double value) NORMEXP_INLINE_LAMBDA { return broadcast<FloatLanes>(value); };
    const auto c = [&](int k) NORMEXP_INLINE_LAMBDA { return number(single_coefficients[k]); };
#define NORMEXP_STEP(expression) each<K>([&](int i) NORMEXP_INLINE_LAMBDA { return expression; })
    x = NORMEXP_STEP(at_least(x.of[i], base.lowest));
    const auto shifted = NORMEXP_STEP(single_shifted(x.of[i]));
    const auto n = NORMEXP_STEP(shifted.of[i] - number(single_rounder));
    const auto first = NORMEXP_STEP(fma(n.of[i], number(-single_ln2_first), x.of[i]));  // exact
    const auto r = NORMEXP_STEP(fma(n.of[i], number(-single_ln2_second), first.of[i]));
    const auto r_low = NORMEXP_STEP(fma(n.of[i], number(-single_ln2_second), first.of[i] - r.of[i]));
    const auto square = NORMEXP_STEP(r.of[i] * r.of[i]);
    const auto odd = NORMEXP_STEP(fma(c(3), r.of[i], c(2)));  // pairs of coefficients, then powers of the square
    const auto even = NORMEXP_STEP(fma(c(1), r.of[i], c(0)));
    const auto top = NORMEXP_STEP(fma(c(4), square.of[i], odd.of[i]));
    const auto q = NORMEXP_STEP(fma(top.of[i], square.of[i], even.of[i]));
    const auto small = NORMEXP_STEP(fma(q.of[i], square.of[i], r_low.of[i]));  // below |r|: a fast two-sum, t + t_low
    const auto t = NORMEXP_STEP(r.of[i] + small.of[i]);
    const auto t_low = NORMEXP_STEP(small.of[i] - (t.of[i] - r.of[i]));
    const auto power = NORMEXP_STEP(exponent_from_low_bits(shifted.of[i], base.offset));
    const auto hi = NORMEXP_STEP(fma(power.of[i], t.of[i], power.of[i]));
    const auto rounded_off = NORMEXP_STEP(fma(power.of[i], t.of[i], power.of[i] - hi.of[i]));
    return {hi, NORMEXP_STEP(fma(power.of[i], t_low.of[i], rounded_off.of[i]))};
#undef NORMEXP_STEP
}
NORMEXP_INLINE Two<FloatLanes> exp_single(FloatLanes x, const SingleBase& base) {
    const auto e = exp_single(Pack<1>{x}, base);
    return {e.hi.of[0], e.lo.of[0]};
}

}  // namespace normexp::NORMEXP_LEVEL
