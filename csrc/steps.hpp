// exp of the logits of a block, excess * exp(d) as in exp.hpp. For float64 there is a shorter way to a relative error of 2^-57,
// half the operations: steps of ln 2 / 16 instead of ln 2, with a table of sixteen powers, as in single.hpp. So small an r
// leaves an e^r - 1 that one word is enough for. (What it costs: the error is no smaller where d is. So log1p, and what is
// moved from base to base time and again, stay with exp().)
#pragma once

#include <bit>

#include "exp.hpp"

namespace normexp::NORMEXP_LEVEL {

// (e^r - 1 - r) / r^2 on |r| <= 0.0218. Error 2^-66.2; with the coefficients rounded to doubles, 2^-64.8.
constexpr double step_coefficients[] = {0x1.0000000000004p-1, 0x1.5555555555544p-3,  0x1.555555547ab03p-5,
                                        0x1.11111112649aap-7, 0x1.6c1845d85328fp-10, 0x1.a0190ed5a3656p-13};
constexpr double step_per_unit = 0x1.71547652b82fep+4;  // 16 / ln 2
// ln 2 / 16 in two words. If m is not 0, d is a multiple of 2^-58, as m * first is, and d - m * first is below 2^-5: a fused
// multiply-add leaves it without error.
constexpr double step_first = 0x1.62e42fefa39efp-5;
constexpr double step_second = 0x1.abc9e3b39803fp-60;
// 2^(k/16) in a double, and what that misses of it, relative to it.
alignas(64) constexpr double step_powers[] = {
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};
alignas(64) constexpr double step_power_rests[] = {0x0.0p+0,
                                                   0x1.79aa65d837b6dp-54,
                                                   -0x1.01b15eaa59348p-55,
                                                   0x1.68efde3a8a894p-54,
                                                   0x1.34d754db0abb6p-55,
                                                   0x1.59f48a72a4c6dp-55,
                                                   0x1.690cebb7aafb0p-56,
                                                   0x1.063e1e21c5409p-54,
                                                   -0x1.3b3efbf5e2228p-54,
                                                   -0x1.b32dcb94da51dp-56,
                                                   0x1.db72fc1f0eab4p-55,
                                                   0x1.1affc2b91ce27p-56,
                                                   0x1.c1a7792cb3387p-55,
                                                   0x1.36eae30af0cb3p-56,
                                                   0x1.4a385a63d07a7p-56,
                                                   -0x1.ff7128fd391f0p-55};
constexpr double step_rounder = 0x1.8p52;  // adding it rounds to an integer and leaves that in the low bits

// The powers as exp_of_block() wants them: m = 16 n + k lies in the low bits of a double, whose bits, shifted by 48 places, are n in
// the place of the exponent and k in the first bits of the significand. There k is taken off beforehand.
struct StepPowers {
    double of[lane_count];
};
constexpr StepPowers step_shifted_powers() {
    StepPowers r{};
    for (std::uint64_t k = 0; k < lane_count; ++k)
        r.of[k] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(step_powers[k] * Wide::excess) - (k << 48));
    return r;
}
alignas(64) constexpr StepPowers step_table = step_shifted_powers();

template <class Width, class V>
NORMEXP_INLINE Two<V> exp_of_block(Two<V> d)
    requires(__is_same(Width, Wide))
{
    const V rounder = broadcast<V>(step_rounder);
    const V shifted = fma(d.hi, broadcast<V>(step_per_unit), rounder);
    const V m = shifted - rounder;
    const V first = fma(m, broadcast<V>(-step_first), d.hi);  // exact
    const V r = fma(m, broadcast<V>(-step_second), first) + d.lo;
    const auto c = [](int k) { return broadcast<V>(step_coefficients[k]); };
    const V square = r * r;
    const V q = fma(fma(fma(c(5), r, c(4)), square, fma(c(3), r, c(2))), square, fma(c(1), r, c(0)));
    const V t = r + fma(q, square, look_up(step_power_rests, shifted));  // e^r - 1, and the power's second word
    const V power = plus_shifted_bits(look_up(step_table.of, shifted), shifted);
    const V hi = fma(power, t, power), lo = fma(power, t, power - hi);
    const V limit = broadcast<V>(Wide::zero_below), zero = broadcast<V>(0.0);
    return {where_greater(limit, d.hi, zero, hi), where_greater(limit, d.hi, zero, lo)};
}

template <class Width, class V>
NORMEXP_INLINE auto exp_of_block(V d)
    requires(!__is_same(Width, Wide))
{
    return exp<Width>(d);
}

}  // namespace normexp::NORMEXP_LEVEL
