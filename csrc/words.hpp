// A number as the unevaluated sum hi + lo of two doubles: about 106 bits where one double has 53.
// Every function works on one double or on sixteen Lanes, with the same operations, so with the same bits.
#pragma once

#include "lanes.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class V>
struct Two {
    V hi, lo;
};

// hi + lo == a + b exactly (Knuth), whatever their order.
template <class V>
NORMEXP_INLINE Two<V> two_sum(V a, V b) {
    const V sum = a + b;
    const V b_part = sum - a;
    return {sum, (a - (sum - b_part)) + (b - b_part)};
}
// The same for |a| >= |b| or a == 0 (Dekker).
template <class V>
NORMEXP_INLINE Two<V> fast_two_sum(V a, V b) {
    const V sum = a + b;
    return {sum, b - (sum - a)};
}
// hi + lo == a * b exactly.
template <class V>
NORMEXP_INLINE Two<V> two_product(V a, V b) {
    const V product = a * b;
    return {product, fma(a, b, -product)};
}

// Relative error below 3 * 2^-106 for terms of one sign, which is all this library adds.
template <class V>
NORMEXP_INLINE Two<V> add(Two<V> a, Two<V> b) {
    const Two<V> s = two_sum(a.hi, b.hi);
    return fast_two_sum(s.hi, s.lo + (a.lo + b.lo));
}
template <class V>
NORMEXP_INLINE Two<V> add(V a, Two<V> b) {
    const Two<V> s = two_sum(a, b.hi);
    return fast_two_sum(s.hi, s.lo + b.lo);
}
template <class V>
NORMEXP_INLINE Two<V> multiply(Two<V> a, Two<V> b) {
    const Two<V> p = two_product(a.hi, b.hi);
    return {p.hi, fma(a.lo, b.hi, fma(a.hi, b.lo, p.lo))};
}
// 1 / a: one Newton step on the rounded reciprocal.
template <class V>
NORMEXP_INLINE Two<V> reciprocal(Two<V> a) {
    const V one = broadcast<V>(1.0);
    const V y = one / a.hi;
    const V rest = fma(-a.hi, y, one) - a.lo * y;
    return {y, y * rest};
}

// Adds to a running sum: a is left with a growing second word, which the last add() puts in order. Over the 128 terms
// of a lane in a block its own rounding stays below 2^-94 of the sum (each adds 2^-53 of a word that has grown to 2^-47).
template <class V>
NORMEXP_INLINE Two<V> accumulate(Two<V> a, Two<V> b) {
    const Two<V> s = two_sum(a.hi, b.hi);
    return {s.hi, a.lo + (b.lo + s.lo)};
}

// One-word twins, so that the code of a row reads the same in both widths.
NORMEXP_INLINE double add(double a, double b) { return a + b; }
NORMEXP_INLINE Lanes add(Lanes a, Lanes b) { return a + b; }
NORMEXP_INLINE FloatLanes add(FloatLanes a, FloatLanes b) { return a + b; }
NORMEXP_INLINE double multiply(double a, double b) { return a * b; }
NORMEXP_INLINE Lanes multiply(Lanes a, Lanes b) { return a * b; }
NORMEXP_INLINE double reciprocal(double a) { return 1.0 / a; }
NORMEXP_INLINE Lanes reciprocal(Lanes a) { return broadcast<Lanes>(1.0) / a; }
NORMEXP_INLINE double leading(double a) { return a; }
NORMEXP_INLINE Lanes leading(Lanes a) { return a; }
template <class V>
NORMEXP_INLINE V leading(Two<V> a) {
    return a.hi;
}
NORMEXP_INLINE double accumulate(double a, double b) { return a + b; }
NORMEXP_INLINE Lanes accumulate(Lanes a, Lanes b) { return a + b; }
template <class V>
NORMEXP_INLINE Two<V> where_greater(V a, V b, Two<V> x, Two<V> y) {
    return {where_greater(a, b, x.hi, y.hi), where_greater(a, b, x.lo, y.lo)};
}
template <class V>
NORMEXP_INLINE Two<V> where_equal(V a, V b, Two<V> x, Two<V> y) {
    return {where_equal(a, b, x.hi, y.hi), where_equal(a, b, x.lo, y.lo)};
}
NORMEXP_INLINE double scale_by(double a, double power_of_two) { return a * power_of_two; }
NORMEXP_INLINE Lanes scale_by(Lanes a, double power_of_two) { return a * power_of_two; }
template <class V>
NORMEXP_INLINE Two<V> scale_by(Two<V> a, double power_of_two) {
    return {scale_by(a.hi, power_of_two), scale_by(a.lo, power_of_two)};
}

// By a plain factor, which need not be a power of two.
NORMEXP_INLINE double times(double a, double b) { return a * b; }
NORMEXP_INLINE Lanes times(Lanes a, Lanes b) { return a * b; }
template <class V>
NORMEXP_INLINE Two<V> times(Two<V> a, V b) {
    const Two<V> p = two_product(a.hi, b);
    return {p.hi, fma(a.lo, b, p.lo)};
}
NORMEXP_INLINE double minus(double a) { return -a; }
NORMEXP_INLINE Lanes minus(Lanes a) { return -a; }
template <class V>
NORMEXP_INLINE Two<V> minus(Two<V> a) {
    return {-a.hi, -a.lo};
}
// Rounded to one word.
NORMEXP_INLINE double rounded(double a) { return a; }
NORMEXP_INLINE Lanes rounded(Lanes a) { return a; }
template <class V>
NORMEXP_INLINE V rounded(Two<V> a) {
    return a.hi + a.lo;
}

// A plain double as a number of type N, which has one word or two, one lane or sixteen.
template <class N>
struct FromDouble {
    NORMEXP_INLINE N of(double value) { return broadcast<N>(value); }
};
template <class V>
struct FromDouble<Two<V>> {
    NORMEXP_INLINE Two<V> of(double value) { return {broadcast<V>(value), broadcast<V>(0.0)}; }
};
template <class N>
NORMEXP_INLINE N number(double value) {
    return FromDouble<N>::of(value);
}

}  // namespace normexp::NORMEXP_LEVEL
