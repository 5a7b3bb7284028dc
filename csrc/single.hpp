// The fast lane: exp in float arithmetic, sixteen at a time, for float16, bfloat16 and float32 logits of ordinary size.
//
// What ruins a float softmax is rounding x - max: at a distance of 16 to 32 that alone costs 16 units in the last place.
// Here it is never formed. x itself is reduced, exactly, and so is the base that the exponentials are measured from:
//
//     x = m ln 2 / 16 + r        base = m0 ln 2 / 16 + r0        exp(x - base) = 2^((m - m0) / 16) e^r * exp(-r0)
//
// The last factor is the same for the whole block, and is applied in double. The first is a power of two and one of sixteen
// values in a table, each in two floats. |r| <= 0.0226 makes e^r - 1 so small that rounding it costs no more than 2^-30. The
// result has two words. Errors, relative (docs/accuracy.md): 2^-30 each of r, e^r - 1 and the power's second word,
// polynomial 2^-29: 2^-27.6 together, a twelfth of half a unit.
#pragma once

#include <bit>

#include "words.hpp"

namespace normexp::NORMEXP_LEVEL {

// (e^r - 1 - r) / r^2 on |r| <= 0.0226 (tools/minimax.py). Error 2^-29.0, and so with the coefficients rounded to floats.
constexpr double single_coefficients[] = {0x1.00024e1f8371ap-1, 0x1.5555a0c453eeap-3};
// (e^r - 1) / r there, for one word. Error 2^-21.0, and so with the coefficients rounded to floats.
constexpr double brief_coefficients[] = {0x1.00042c0dbe00ep+0, 0x1.fffff3c5e039ep-2};
constexpr double single_per_unit = 0x1.715476p+4;  // 16 / ln 2
// ln 2 / 16 in two floats. Both x, if m is not 0, and m * first are multiples of 2^-29, and x - m * first is below 2^-5: a
// fused multiply-add leaves it without error.
constexpr double single_step_first = 0x1.62e43p-5;
constexpr double single_step_second = -0x1.05c61p-33;
constexpr double single_rounder = 0x1.8p23;  // adding it rounds to an integer and leaves that in the low bits
// 2^(k/16) in a float, and what that misses of it, relative to it (tools/minimax.py).
alignas(64) constexpr float single_powers[] = {0x1.000000p+0, 0x1.0b5586p+0, 0x1.172b84p+0, 0x1.2387a6p+0,
                                               0x1.306fe0p+0, 0x1.3dea64p+0, 0x1.4bfdaep+0, 0x1.5ab07ep+0,
                                               0x1.6a09e6p+0, 0x1.7a1148p+0, 0x1.8ace54p+0, 0x1.9c4918p+0,
                                               0x1.ae89fap+0, 0x1.c199bep+0, 0x1.d5818ep+0, 0x1.ea4afap+0};
alignas(64) constexpr float single_power_rests[] = {0x0.0p+0,        0x1.8d96d4p-25,  -0x1.9c0c22p-27, 0x1.964904p-25,
                                                    0x1.125002p-25,  0x1.370be4p-25,  -0x1.0a3550p-25, -0x1.00d8acp-27,
                                                    0x1.26055cp-26,  -0x1.05cb44p-25, 0x1.67a1cap-28,  0x1.a3b5e4p-28,
                                                    -0x1.f9c304p-27, -0x1.6961b4p-28, -0x1.a5217cp-28, 0x1.61428ep-28};

// Up to this size of the base, m is right to 2^16 * 16 / ln 2 * 2^-26.2 < 0.021, so |r| stays below 0.0226.
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
    FloatLanes lowest;   // base - single_lowest
    FloatLanes rounder;  // single_rounder - m0
};

NORMEXP_INLINE FloatLanes single_shifted(FloatLanes x, FloatLanes rounder) {
    return fma(x, broadcast<FloatLanes>(single_per_unit), rounder);
}
// m0 of a base.
NORMEXP_INLINE FloatLanes single_steps(FloatLanes base) {
    const FloatLanes rounder = broadcast<FloatLanes>(single_rounder);
    return single_shifted(base, rounder) - rounder;
}
NORMEXP_INLINE SingleBase single_base(FloatLanes base) {
    return {base - broadcast<FloatLanes>(single_lowest), broadcast<FloatLanes>(single_rounder) - single_steps(base)};
}
// exp(-r0) / 2^60: what the sum of exp_single's results, or one of them, is to be multiplied by (V is double or Lanes).
template <class V>
NORMEXP_INLINE V single_correction(V base, V steps) {
    const V d = fma(steps, broadcast<V>(0x1.62e42fefa39efp-5), -base);  // below 0.0226: d^6 / 720 is 2^-42
    V p = broadcast<V>(1.0 / 120);
    constexpr double inverse_factorials[] = {1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    for (const double c : inverse_factorials) p = fma(p, d, broadcast<V>(c));
    return p * (1.0 / single_excess);
}

// The powers as exp_single wants them: m - m0 = 16 n + k lies in the low bits of a float, whose bits, shifted by 19 places,
// are n in the place of the exponent and k in the first bits of the significand. There k is taken off beforehand.
struct SinglePowers {
    float of[lane_count];
};
constexpr SinglePowers single_shifted_powers() {
    SinglePowers r{};
    for (std::uint32_t k = 0; k < lane_count; ++k) {
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(single_powers[k]);
        r.of[k] = std::bit_cast<float>(bits + (std::uint32_t(single_excess_bits) << 23) - (k << 19));
    }
    return r;
}
alignas(64) constexpr SinglePowers single_table = single_shifted_powers();

#define NORMEXP_STEP(expression) each<K>([&](int i) NORMEXP_INLINE_LAMBDA { return expression; })
// m - m0 in the low bits, and r.
template <int K>
struct SingleReduced {
    Pack<K> shifted, r;
};
template <int K>
NORMEXP_INLINE SingleReduced<K> single_reduced(Pack<K> x, const SingleBase& base) {
    const auto number = [](double value) NORMEXP_INLINE_LAMBDA { return broadcast<FloatLanes>(value); };
    x = NORMEXP_STEP(at_least(x.of[i], base.lowest));
    const auto shifted = NORMEXP_STEP(single_shifted(x.of[i], base.rounder));
    const auto m = NORMEXP_STEP(shifted.of[i] - base.rounder);
    const auto first = NORMEXP_STEP(fma(m.of[i], number(-single_step_first), x.of[i]));  // exact
    return {shifted, NORMEXP_STEP(fma(m.of[i], number(-single_step_second), first.of[i]))};
}
// hi + lo = 2^60 exp(x - base) exp(r0).
template <int K>
NORMEXP_INLINE Two<Pack<K>> exp_single(Pack<K> x, const SingleBase& base) {
    const auto number = [](double value) NORMEXP_INLINE_LAMBDA { return broadcast<FloatLanes>(value); };
    const SingleReduced<K> reduced = single_reduced(x, base);
    const Pack<K>&shifted = reduced.shifted, &r = reduced.r;
    const auto square = NORMEXP_STEP(r.of[i] * r.of[i]);
    const auto q = NORMEXP_STEP(fma(number(single_coefficients[1]), r.of[i], number(single_coefficients[0])));
    const auto power_rest = NORMEXP_STEP(look_up(single_power_rests, shifted.of[i]));
    const auto small = NORMEXP_STEP(fma(q.of[i], square.of[i], power_rest.of[i]));
    const auto t = NORMEXP_STEP(r.of[i] + small.of[i]);  // e^r - 1, and the second word of the power of 2
    const auto power = NORMEXP_STEP(plus_shifted_bits(look_up(single_table.of, shifted.of[i]), shifted.of[i]));
    const auto hi = NORMEXP_STEP(fma(power.of[i], t.of[i], power.of[i]));
    return {hi, NORMEXP_STEP(fma(power.of[i], t.of[i], power.of[i] - hi.of[i]))};
}
// The same in one word, for float16 and bfloat16, whose results are rounded at 2^-11 and 2^-8. Errors, relative: polynomial
// 2^-21, the power 2^-25, two roundings 2^-24: 2^-20.6 together, a four-hundredth of a unit of float16.
template <int K>
NORMEXP_INLINE Pack<K> exp_brief(Pack<K> x, const SingleBase& base) {
    const auto number = [](double value) NORMEXP_INLINE_LAMBDA { return broadcast<FloatLanes>(value); };
    const SingleReduced<K> reduced = single_reduced(x, base);
    const Pack<K>&shifted = reduced.shifted, &r = reduced.r;
    const auto q = NORMEXP_STEP(fma(number(brief_coefficients[1]), r.of[i], number(brief_coefficients[0])));
    const auto t = NORMEXP_STEP(q.of[i] * r.of[i]);  // e^r - 1
    const auto power = NORMEXP_STEP(plus_shifted_bits(look_up(single_table.of, shifted.of[i]), shifted.of[i]));
    return NORMEXP_STEP(fma(power.of[i], t.of[i], power.of[i]));
}
#undef NORMEXP_STEP

// What an exponential is for a type of logits: one float, or two.
template <class T>
struct Exponential {
    using Type = FloatLanes;
};
template <>
struct Exponential<float> {
    using Type = Two<FloatLanes>;
};
template <class T>
using Exp = typename Exponential<T>::Type;

template <int K>
NORMEXP_INLINE FloatLanes part(const Pack<K>& e, int i) {
    return e.of[i];
}
template <int K>
NORMEXP_INLINE Two<FloatLanes> part(const Two<Pack<K>>& e, int i) {
    return {e.hi.of[i], e.lo.of[i]};
}
NORMEXP_INLINE FloatLanes first_word(FloatLanes e) { return e; }
NORMEXP_INLINE FloatLanes first_word(Two<FloatLanes> e) { return e.hi; }
NORMEXP_INLINE FloatLanes add_second_word(FloatLanes sum, FloatLanes) { return sum; }
NORMEXP_INLINE FloatLanes add_second_word(FloatLanes sum, Two<FloatLanes> e) { return sum + e.lo; }

template <class T, int K>
NORMEXP_INLINE auto exp_of(Pack<K> x, const SingleBase& base) {
    if constexpr (__is_same(Exp<T>, FloatLanes))
        return exp_brief(x, base);
    else
        return exp_single(x, base);
}
template <class T>
NORMEXP_INLINE Exp<T> exp_of(FloatLanes x, const SingleBase& base) {
    return part(exp_of<T>(Pack<1>{x}, base), 0);
}

}  // namespace normexp::NORMEXP_LEVEL
