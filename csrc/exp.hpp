// The one exp of this library, in the widths it is needed in, for arguments d <= 0 (a logit minus the row's largest).
//
//     n = round(d / ln 2)      r = d - n ln 2, so |r| <= ln(2) / 2      exp(d) = 2^n e^r
//
// e^r is a polynomial. Its leading coefficients are applied in two-word arithmetic (words.hpp), as many as the width
// asks for, the tail in plain double. All roundings are listed in docs/accuracy.md; tools/minimax.py makes the constants.
//
//     width    for                             two-word steps   relative error (derived in docs/accuracy.md)
//     Single   blocks of floats, see single.hpp       -         2^-27.6
//     Narrow   other floats; sums of floats           0         2^-34.3 (polynomial) + 2^-44 (d, r and Horner, |d| <= 150)
//     Wide     float64                                2         2^-57
//     Exact    sums that nearly cancel               13         2^-102 + |d| 2^-105
#pragma once

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
// (e^r - 1 - r) / r^2. Error 2^-64; with the coefficients rounded to doubles, 2^-60.3.
constexpr double wide_coefficients[] = {0x1.0000000000000p-1,  0x1.555555555555bp-3,  0x1.5555555555503p-5,
                                        0x1.111111110ec5dp-7,  0x1.6c16c16c3048cp-10, 0x1.a01a01b37e37fp-13,
                                        0x1.a01a01368f8a2p-16, 0x1.71ddf020cdedcp-19, 0x1.27e5b44634161p-22,
                                        0x1.af6be7e49d961p-26, 0x1.1e3d2d1a6d39ap-29};
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

template <class Width, class V>
NORMEXP_INLINE Two<V> exp(Two<V> d)
    requires(Width::two_words)
{
    constexpr bool exact = !__is_same(Width, Wide);
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
    r = fast_two_sum(r.hi, r.lo);  // d.lo may be as large as 2^-44: the tail polynomial must not miss it
    if constexpr (exact) {
        constexpr int first_two_word = 13;  // r^13/13! < 2^-52: from there on one word leaves an error below 2^-105
        V tail = broadcast<V>(factorial_inverses[24][0]);
#pragma GCC unroll 16
        for (int k = 23; k >= first_two_word; --k) tail = fma(tail, r.hi, broadcast<V>(factorial_inverses[k][0]));
        p = {tail, broadcast<V>(0.0)};
#pragma GCC unroll 16
        for (int k = first_two_word - 1; k >= 0; --k) step(factorial_inverses[k][0], factorial_inverses[k][1]);
    } else {
        constexpr int last = sizeof wide_coefficients / sizeof wide_coefficients[0] - 1;
        V tail = broadcast<V>(wide_coefficients[last]);
#pragma GCC unroll 16
        for (int k = last - 1; k >= 0; --k) tail = fma(tail, r.hi, broadcast<V>(wide_coefficients[k]));
        p = {tail, broadcast<V>(0.0)};
        step(1.0, 0.0);
        step(1.0, 0.0);
    }
    const V power = exponent_from_low_bits(shifted), zero = broadcast<V>(0.0);
    const V limit = broadcast<V>(Width::zero_below);
    return {where_greater(limit, d.hi, zero, p.hi * power), where_greater(limit, d.hi, zero, p.lo * power)};
}

}  // namespace normexp::NORMEXP_LEVEL
