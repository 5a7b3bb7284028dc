// The one exp of this library, in the widths it is needed in, for arguments d <= 0 (a logit minus the row's largest).
//
//     n = round(d / ln 2)      r = d - n ln 2, so |r| <= ln(2) / 2      exp(d) = 2^n e^r
//
// e^r is a polynomial. Wide steps by ln 2 / 16 instead, and has 2^(k/16) in a table: so small an r leaves an e^r - 1 that one
// word is enough for. Exact applies its leading coefficients in two-word arithmetic (words.hpp), the tail in plain double.
// All roundings are listed in docs/accuracy.md; tools/minimax.py makes the constants.
//
//     width    for                             relative error (derived in docs/accuracy.md)
//     Single   blocks of floats, see single.hpp       2^-27.6
//     Narrow   other floats; sums of floats           2^-34.3 (polynomial) + 2^-44 (d, r and Horner, |d| <= 150)
//     Wide     float64                                2^-57.4
//     Exact    sums that nearly cancel                2^-102 + |d| 2^-105
#pragma once

#include <bit>

#include "words.hpp"

namespace normexp::NORMEXP_LEVEL {

constexpr double log2_e = 0x1.71547652b82fep+0;
constexpr double ln2 = 0x1.62e42fefa39efp-1;
// ln 2 in three words. The first two have 40 bits, so their products with |n| < 2^13 are exact.
constexpr double ln2_first = 0x1.62e42fefa2000p-1;
constexpr double ln2_second = 0x1.9ef35793c6000p-41;
constexpr double ln2_third = 0x1.673007e5ed5e8p-81;

// (e^r - 1) / r; with the leading 1 exact, exp(0) is exactly 1. Error 2^-34.3.
constexpr double narrow_coefficients[] = {0x1.00000000e5891p+0, 0x1.000000424eb42p-1, 0x1.55555350a4b19p-3,
                                          0x1.555481a90fac0p-5, 0x1.11130b23e3378p-7, 0x1.6d9569691baeap-10,
                                          0x1.9e8ecd3ede4cfp-13};
// (e^r - 1 - r) / r^2 on |r| <= 0.0218. Error 2^-66.2; with the coefficients rounded to doubles, 2^-64.8.
constexpr double wide_coefficients[] = {0x1.0000000000004p-1, 0x1.5555555555544p-3,  0x1.555555547ab03p-5,
                                        0x1.11111112649aap-7, 0x1.6c1845d85328fp-10, 0x1.a0190ed5a3656p-13};
constexpr double wide_per_unit = 0x1.71547652b82fep+4;  // 16 / ln 2
// ln 2 / 16 in two words. If m is not 0, d is a multiple of 2^-58, as m * first is, and d - m * first is below 2^-5: a fused
// multiply-add leaves it without error.
constexpr double wide_step_first = 0x1.62e42fefa39efp-5;
constexpr double wide_step_second = 0x1.abc9e3b39803fp-60;
// 2^(k/16) in a double, and what that misses of it, relative to it.
alignas(64) constexpr double wide_powers[] = {
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};
alignas(64) constexpr double wide_power_rests[] = {0x0.0p+0,
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
// 1/k! as two words, k = 0 .. 24: the first term left out is r^25/25! < 2^-121.
constexpr double factorial_inverses[][2] = {
    {0x1.0000000000000p+0, 0x0.0p+0},
    {0x1.0000000000000p+0, 0x0.0p+0},
    {0x1.0000000000000p-1, 0x0.0p+0},
    {0x1.5555555555555p-3, 0x1.5555555555555p-57},
    {0x1.5555555555555p-5, 0x1.5555555555555p-59},
    {0x1.1111111111111p-7, 0x1.1111111111111p-63},
    {0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65},
    {0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-73},
    {0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-76},
    {0x1.71de3a556c734p-19, -0x1.c154f8ddc6c00p-73},
    {0x1.27e4fb7789f5cp-22, 0x1.cbbc05b4fa99ap-76},
    {0x1.ae64567f544e4p-26, -0x1.c062e06d1f209p-80},
    {0x1.1eed8eff8d898p-29, -0x1.2aec959e14c06p-83},
    {0x1.6124613a86d09p-33, 0x1.f28e0cc748ebep-87},
    {0x1.93974a8c07c9dp-37, 0x1.05d6f8a2efd1fp-92},
    {0x1.ae7f3e733b81fp-41, 0x1.1d8656b0ee8cbp-97},
    {0x1.ae7f3e733b81fp-45, 0x1.1d8656b0ee8cbp-101},
    {0x1.952c77030ad4ap-49, 0x1.ac981465ddc6cp-103},
    {0x1.6827863b97d97p-53, 0x1.eec01221a8b0bp-107},
    {0x1.2f49b46814157p-57, 0x1.2650f61dbdcb4p-112},
    {0x1.e542ba4020225p-62, 0x1.ea72b4afe3c2fp-120},
    {0x1.71b8ef6dcf572p-66, -0x1.d043ae40c4647p-120},
    {0x1.0ce396db7f853p-70, -0x1.aebcdbd20331cp-124},
    {0x1.761b41316381ap-75, -0x1.3423c7d91404fp-130},
    {0x1.f2cf01972f578p-80, -0x1.9ada5fcc1ab14p-135},
};

// A width says what a number is (one word or two), where exp may return zero, and by which power of two its exp is
// too large. float32's smallest subnormal is e^-103.3: below e^-150 nothing can matter. float64's is e^-744.4, and
// a sum of 2^40 terms that are each below e^-880 cannot matter; for those to stay normal numbers on the way, Wide and
// Exact carry 2^256 exp(d), and the division by 2^256 happens in the last multiplication.
struct Narrow {
    static constexpr bool two_words = false;
    static constexpr double zero_below = -150.0;
    static constexpr double excess = 1.0, unscale = 1.0;
    static constexpr double rounder =
        0x1.8p52 + 1023;                           // adding it rounds to an integer and leaves n + 1023 in the low bits
    static constexpr double lowest_base = -400.0;  // see base_of() in lse.hpp
};
// Blocks of ordinary float logits go through single.hpp; all else, row scalars and merging included, is as in Narrow.
struct Single : Narrow {
    static constexpr double lowest_base = -7.0;
};
struct Wide {
    static constexpr bool two_words = true;
    static constexpr double zero_below = -880.0;
    static constexpr double excess = 0x1p256, unscale = 0x1p-256;
    static constexpr double rounder = 0x1.8p52 + 1023 + 256;
    static constexpr double lowest_base = -400.0;
};
struct Exact : Wide {};
constexpr double wide_rounder = 0x1.8p52;  // adding it rounds to an integer and leaves that in the low bits

template <class Width, class V, bool two_words = Width::two_words>
struct Number {
    using Type = V;
};
template <class Width, class V>
struct Number<Width, V, true> {
    using Type = Two<V>;
};
template <class Width, class V>
using Num = typename Number<Width, V>::Type;

// excess * exp(d). d below zero_below gives 0, NaN gives NaN. (The comparison is written so that NaN fails it.)
template <class Width, class V>
NORMEXP_INLINE V exp(V d)
    requires(!Width::two_words)
{
    const V rounder = broadcast<V>(Width::rounder);
    const V shifted = fma(d, broadcast<V>(log2_e), rounder);
    const V n = shifted - rounder;
    const V r = fma(n, broadcast<V>(-ln2), d);  // |n| < 2^8, so the one-word ln 2 costs 2^-47
    // Even and odd powers apart: half as many steps wait for one another.
    const auto c = [](int k) { return broadcast<V>(narrow_coefficients[k - 1]); };
    const V square = r * r;
    const V even = fma(fma(fma(c(6), square, c(4)), square, c(2)), square, broadcast<V>(1.0));
    const V odd = fma(fma(fma(c(7), square, c(5)), square, c(3)), square, c(1));
    const V p = fma(odd, r, even);
    const V result = p * exponent_from_low_bits(shifted);
    return where_greater(broadcast<V>(Width::zero_below), d, broadcast<V>(0.0), result);
}

// The powers as exp() wants them: m = 16 n + k lies in the low bits of a double, whose bits, shifted by 48 places, are n in
// the place of the exponent and k in the first bits of the significand. There k is taken off beforehand.
struct WidePowers {
    double of[lane_count];
};
constexpr WidePowers wide_shifted_powers() {
    WidePowers r{};
    for (std::uint64_t k = 0; k < lane_count; ++k)
        r.of[k] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(wide_powers[k] * Wide::excess) - (k << 48));
    return r;
}
alignas(64) constexpr WidePowers wide_table = wide_shifted_powers();

template <class Width, class V>
NORMEXP_INLINE Two<V> exp(Two<V> d)
    requires(__is_same(Width, Wide))
{
    const V rounder = broadcast<V>(wide_rounder);
    const V shifted = fma(d.hi, broadcast<V>(wide_per_unit), rounder);
    const V m = shifted - rounder;
    const V first = fma(m, broadcast<V>(-wide_step_first), d.hi);  // exact
    const V r = fma(m, broadcast<V>(-wide_step_second), first) + d.lo;
    const auto c = [](int k) { return broadcast<V>(wide_coefficients[k]); };
    const V square = r * r;
    const V q = fma(fma(fma(c(5), r, c(4)), square, fma(c(3), r, c(2))), square, fma(c(1), r, c(0)));
    const V t = r + fma(q, square, look_up(wide_power_rests, shifted));  // e^r - 1, and the power's second word
    const V power = plus_shifted_bits(look_up(wide_table.of, shifted), shifted);
    const V hi = fma(power, t, power), lo = fma(power, t, power - hi);
    const V limit = broadcast<V>(Wide::zero_below), zero = broadcast<V>(0.0);
    return {where_greater(limit, d.hi, zero, hi), where_greater(limit, d.hi, zero, lo)};
}

template <class Width, class V>
NORMEXP_INLINE Two<V> exp(Two<V> d)
    requires(__is_same(Width, Exact))
{
    const V rounder = broadcast<V>(Width::rounder);
    const V shifted = fma(d.hi, broadcast<V>(log2_e), rounder);
    const V n = shifted - rounder;
    const V first = fma(n, broadcast<V>(-ln2_first), d.hi);  // exact: the leading bits cancel
    Two<V> r = two_sum(first, n * broadcast<V>(-ln2_second));
    r.lo = r.lo + fma(n, broadcast<V>(-ln2_third), d.lo);

    Two<V> p;
    const auto step = [&](double hi, double lo) NORMEXP_INLINE_LAMBDA {  // p = coefficient + r p
        const Two<V> product = multiply(r, p);
        const Two<V> sum = fast_two_sum(broadcast<V>(hi), product.hi);
        p = {sum.hi, sum.lo + (lo != 0 ? product.lo + broadcast<V>(lo) : product.lo)};
    };
    r = fast_two_sum(r.hi, r.lo);       // d.lo may be as large as 2^-44: the tail polynomial must not miss it
    constexpr int first_two_word = 13;  // r^13/13! < 2^-52: from there on one word leaves an error below 2^-105
    V tail = broadcast<V>(factorial_inverses[24][0]);
#pragma GCC unroll 16
    for (int k = 23; k >= first_two_word; --k) tail = fma(tail, r.hi, broadcast<V>(factorial_inverses[k][0]));
    p = {tail, broadcast<V>(0.0)};
#pragma GCC unroll 16
    for (int k = first_two_word - 1; k >= 0; --k) step(factorial_inverses[k][0], factorial_inverses[k][1]);
    const V power = exponent_from_low_bits(shifted), zero = broadcast<V>(0.0);
    const V limit = broadcast<V>(Width::zero_below);
    return {where_greater(limit, d.hi, zero, p.hi * power), where_greater(limit, d.hi, zero, p.lo * power)};
}

}  // namespace normexp::NORMEXP_LEVEL
