// log(1 + rest) for rest >= 0, with a small error relative to the result, however small rest is: the log of a row's
// sum whose largest term, 1, was left out. That is where log-softmax and losses near zero get their digits.
#pragma once

#include "exp.hpp"

namespace normexp::NORMEXP_LEVEL {

// (2 atanh(s) - 2 s) / s^3 in powers of s^2, |s| <= 0.1716 (tools/minimax.py). Error 2^-59.5; with the coefficients
// rounded to doubles, 2^-58.9.
constexpr double atanh_coefficients[] = {0x1.5555555555592p-1, 0x1.999999997fd77p-2, 0x1.24924941f4fcap-2,
                                         0x1.c71c520607208p-3, 0x1.74663fa24cd53p-3, 0x1.39a1a6f3b88a4p-3,
                                         0x1.2f0634a5f7592p-3};

// In double, relative error below 2^-51.5: 1 + rest = 2^k z, log z = 2 atanh(s) with s = (z - 1) / (z + 1), arranged as
// f - f^2/2 + s (f^2/2 + R), f = z - 1, so that the rounded part is small beside f. What 1 + rest rounds off is put back,
// as if z were 1: where it is not, that is less than a last place of the logarithm.
template <class V>
NORMEXP_INLINE V log1p_one_word(V rest) {
    const Two<V> u = two_sum(broadcast<V>(1.0), rest);
    const Split<V> parts = split(u.hi);
    const V f = parts.z - broadcast<V>(1.0);
    const V rounded_off = u.lo * parts.inverse_power;
    const V s = f / (parts.z + broadcast<V>(1.0));
    const V z = s * s;
    constexpr int last = sizeof atanh_coefficients / sizeof atanh_coefficients[0] - 1;
    V p = broadcast<V>(atanh_coefficients[last]);
#pragma GCC unroll 8
    for (int k = last - 1; k >= 0; --k) p = fma(p, z, broadcast<V>(atanh_coefficients[k]));
    const V half_square = broadcast<V>(0.5) * f * f;
    const V small = fma(parts.k, broadcast<V>(ln2_second), fma(s, fma(p, z, half_square), rounded_off));
    return fma(parts.k, broadcast<V>(ln2_first), f - (half_square - small));
}

template <class Width, class V>
NORMEXP_INLINE V log1p(V rest)
    requires(!Width::two_words)
{
    return log1p_one_word(rest);
}
// rest - rest^2 / 2 + rest^3 / 3 misses rest^4 / 4, which below this is 2^-92 of it.
constexpr double series_below = 0x1p-30;
// One Newton step from the one-word result y: log(1 + rest) = y + log((1 + rest) exp(-y)), the last log being of 1 + t
// with |t| < 2^-45.
template <class Width, class V>
NORMEXP_INLINE Two<V> log1p(Two<V> rest)
    requires(Width::two_words)
{
    const V y = log1p_one_word(rest.hi);
    const Two<V> inverse = scale_by(exp<Width>(Two<V>{-y, broadcast<V>(0.0)}), Width::unscale);
    const Two<V> product = multiply(add(broadcast<V>(1.0), rest), inverse);
    const V t = (product.hi - broadcast<V>(1.0)) + product.lo;
    const Two<V> newton = fast_two_sum(y, fma(t * broadcast<V>(-0.5), t, t));
    // A rest near 2^-53 leaves no room for its last places in two words beginning with 1: down there the series serves.
    const V shorter = fma(rest.hi * broadcast<V>(-2.0 / 3), rest.hi, rest.hi);
    const Two<V> series = fast_two_sum(rest.hi, fma(rest.hi * broadcast<V>(-0.5), shorter, rest.lo));
    return where_greater(broadcast<V>(series_below), rest.hi, series, newton);
}

}  // namespace normexp::NORMEXP_LEVEL
