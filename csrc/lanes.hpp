// Sixteen double lanes, whatever the machine's vector width: the only file with intrinsics in it.
//
// Results may not depend on the CPU level, so the lane count is fixed and every operation below is one IEEE operation
// (or an exact one), the same at every level. A Lanes value is built of native-width vectors of the compiler, because
// GCC splits wider ones badly (64-byte vectors at v3 go through memory).
//
// This header is compiled once per CPU level, each time inside a namespace of its own: were two levels to share the
// name of an inline function, the linker would keep one of the two bodies, and baseline machines could meet AVX-512.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define NORMEXP_VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define NORMEXP_VECTOR_BYTES 32
#else
#define NORMEXP_VECTOR_BYTES 16
#endif

namespace normexp::NORMEXP_LEVEL {

// float16 and bfloat16 as they lie in memory; all arithmetic on them happens in double.
struct Half {
    std::uint16_t bits;
};
struct BFloat {
    std::uint16_t bits;
};

constexpr int lane_count = 16;

using VecD = double __attribute__((vector_size(NORMEXP_VECTOR_BYTES)));
using VecI = std::int64_t __attribute__((vector_size(NORMEXP_VECTOR_BYTES)));
using VecF = float __attribute__((vector_size(NORMEXP_VECTOR_BYTES)));
using HalfVecF = float __attribute__((vector_size(NORMEXP_VECTOR_BYTES / 2)));  // as many floats as VecD has doubles
using VecU32 = std::uint32_t __attribute__((vector_size(NORMEXP_VECTOR_BYTES)));
using HalfVecU16 = std::uint16_t __attribute__((vector_size(NORMEXP_VECTOR_BYTES / 2)));

constexpr int double_parts = lane_count * 8 / NORMEXP_VECTOR_BYTES;
constexpr int float_parts = lane_count * 4 / NORMEXP_VECTOR_BYTES;
constexpr int doubles_per_part = NORMEXP_VECTOR_BYTES / 8;
constexpr int floats_per_part = NORMEXP_VECTOR_BYTES / 4;

struct Lanes {
    VecD part[double_parts];
};
struct FloatLanes {
    VecF part[float_parts];
};

#define NORMEXP_INLINE [[gnu::always_inline]] static inline
#define NORMEXP_INLINE_LAMBDA __attribute__((always_inline))
#define NORMEXP_EACH_DOUBLE _Pragma("GCC unroll 8") for (int i = 0; i < double_parts; ++i)
#define NORMEXP_EACH_FLOAT _Pragma("GCC unroll 4") for (int i = 0; i < float_parts; ++i)

// ---- doubles -------------------------------------------------------------------------------------------------------

template <class V>
NORMEXP_INLINE V broadcast(double value);

template <>
[[gnu::always_inline]] inline double broadcast<double>(double value) {
    return value;
}
template <>
[[gnu::always_inline]] inline Lanes broadcast<Lanes>(double value) {
    Lanes r;
    NORMEXP_EACH_DOUBLE r.part[i] = value - VecD{};  // 0 + value would lose the sign of -0
    return r;
}

template <>
[[gnu::always_inline]] inline FloatLanes broadcast<FloatLanes>(double value) {
    FloatLanes r;
    NORMEXP_EACH_FLOAT r.part[i] = float(value) - VecF{};
    return r;
}

NORMEXP_INLINE Lanes operator+(Lanes a, Lanes b) {
    NORMEXP_EACH_DOUBLE a.part[i] += b.part[i];
    return a;
}
NORMEXP_INLINE Lanes operator-(Lanes a, Lanes b) {
    NORMEXP_EACH_DOUBLE a.part[i] -= b.part[i];
    return a;
}
NORMEXP_INLINE Lanes operator*(Lanes a, Lanes b) {
    NORMEXP_EACH_DOUBLE a.part[i] *= b.part[i];
    return a;
}
NORMEXP_INLINE Lanes operator/(Lanes a, Lanes b) {
    NORMEXP_EACH_DOUBLE a.part[i] /= b.part[i];
    return a;
}
NORMEXP_INLINE Lanes operator-(Lanes a) {
    NORMEXP_EACH_DOUBLE a.part[i] = -a.part[i];
    return a;
}

// a * b + c with one rounding. Baseline x86-64 has no such instruction: there the C library's fma gives the same bits,
// slowly. (Out of line: inlined, its calls made the kernels take minutes to compile.)
#if defined(__x86_64__) && NORMEXP_VECTOR_BYTES == 16
[[gnu::noinline]] static VecD fma_part(VecD a, VecD b, VecD c) {
    return VecD{__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}
[[gnu::noinline]] static VecF fma_part(VecF a, VecF b, VecF c) {
    return VecF{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]), __builtin_fmaf(a[2], b[2], c[2]),
                __builtin_fmaf(a[3], b[3], c[3])};
}
#endif
NORMEXP_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
NORMEXP_INLINE Lanes fma(Lanes a, Lanes b, Lanes c) {
    NORMEXP_EACH_DOUBLE {
#if NORMEXP_VECTOR_BYTES == 64
        a.part[i] = VecD(_mm512_fmadd_pd(__m512d(a.part[i]), __m512d(b.part[i]), __m512d(c.part[i])));
#elif NORMEXP_VECTOR_BYTES == 32
        a.part[i] = VecD(_mm256_fmadd_pd(__m256d(a.part[i]), __m256d(b.part[i]), __m256d(c.part[i])));
#elif defined(__aarch64__)
        a.part[i] = VecD(vfmaq_f64(float64x2_t(c.part[i]), float64x2_t(a.part[i]), float64x2_t(b.part[i])));
#else
        a.part[i] = fma_part(a.part[i], b.part[i], c.part[i]);
#endif
    }
    return a;
}

NORMEXP_INLINE FloatLanes operator+(FloatLanes a, FloatLanes b) {
    NORMEXP_EACH_FLOAT a.part[i] += b.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes operator-(FloatLanes a, FloatLanes b) {
    NORMEXP_EACH_FLOAT a.part[i] -= b.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes operator*(FloatLanes a, FloatLanes b) {
    NORMEXP_EACH_FLOAT a.part[i] *= b.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
    NORMEXP_EACH_FLOAT {
#if NORMEXP_VECTOR_BYTES == 64
        a.part[i] = VecF(_mm512_fmadd_ps(__m512(a.part[i]), __m512(b.part[i]), __m512(c.part[i])));
#elif NORMEXP_VECTOR_BYTES == 32
        a.part[i] = VecF(_mm256_fmadd_ps(__m256(a.part[i]), __m256(b.part[i]), __m256(c.part[i])));
#elif defined(__aarch64__)
        a.part[i] = VecF(vfmaq_f32(float32x4_t(c.part[i]), float32x4_t(a.part[i]), float32x4_t(b.part[i])));
#else
        a.part[i] = fma_part(a.part[i], b.part[i], c.part[i]);
#endif
    }
    return a;
}
// The larger of both; a NaN in v stays.
NORMEXP_INLINE FloatLanes at_least(FloatLanes v, FloatLanes low) {
    NORMEXP_EACH_FLOAT {
#if NORMEXP_VECTOR_BYTES == 64  // of two operands one of which is NaN these give the second
        v.part[i] = VecF(_mm512_max_ps(__m512(low.part[i]), __m512(v.part[i])));
#elif NORMEXP_VECTOR_BYTES == 32
        v.part[i] = VecF(_mm256_max_ps(__m256(low.part[i]), __m256(v.part[i])));
#else
        v.part[i] = low.part[i] > v.part[i] ? low.part[i] : v.part[i];
#endif
    }
    return v;
}
// 2^(low bits of v's significand - 127), as exponent_from_low_bits() of doubles.
NORMEXP_INLINE FloatLanes exponent_from_low_bits(FloatLanes v) {
    NORMEXP_EACH_FLOAT v.part[i] = VecF(VecU32(v.part[i]) << 23);
    return v;
}
// Of a table of sixteen: the entry that the low four bits of v's significand say.
NORMEXP_INLINE FloatLanes look_up(const float (&table)[lane_count], FloatLanes v) {
#if NORMEXP_VECTOR_BYTES == 64
    return {VecF(_mm512_permutexvar_ps(_mm512_castps_si512(__m512(v.part[0])), _mm512_load_ps(table)))};
#elif NORMEXP_VECTOR_BYTES == 32
    const __m256 low = _mm256_load_ps(table), high = _mm256_load_ps(table + 8);
    NORMEXP_EACH_FLOAT {
        const __m256i index = _mm256_castps_si256(__m256(v.part[i]));
        v.part[i] = VecF(_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index),
                                          _mm256_castsi256_ps(_mm256_slli_epi32(index, 28))));  // by the fourth bit
    }
    return v;
#else
    NORMEXP_EACH_FLOAT {
        const VecU32 index = VecU32(v.part[i]) & 15u;
        for (int k = 0; k < floats_per_part; ++k) v.part[i][k] = table[index[k]];
    }
    return v;
#endif
}
// The bits of a and, shifted by 19 places, those of v: see exp_single().
NORMEXP_INLINE FloatLanes plus_shifted_bits(FloatLanes a, FloatLanes v) {
    NORMEXP_EACH_FLOAT a.part[i] = VecF(VecU32(a.part[i]) + (VecU32(v.part[i]) << 19));
    return a;
}
NORMEXP_INLINE FloatLanes where_equal(FloatLanes a, FloatLanes b, FloatLanes x, FloatLanes y) {
    NORMEXP_EACH_FLOAT x.part[i] = a.part[i] == b.part[i] ? x.part[i] : y.part[i];
    return x;
}
NORMEXP_INLINE FloatLanes where_greater(FloatLanes a, FloatLanes b, FloatLanes x, FloatLanes y) {
    NORMEXP_EACH_FLOAT x.part[i] = a.part[i] > b.part[i] ? x.part[i] : y.part[i];
    return x;
}

// Which of sixteen float lanes. (Apart from the values, so that choices cost no floating-point operation at v4.)
#if NORMEXP_VECTOR_BYTES == 64
struct LaneMask {
    __mmask16 bits;
};
NORMEXP_INLINE LaneMask no_lane() { return {0}; }
NORMEXP_INLINE LaneMask equal(FloatLanes a, FloatLanes b) {
    return {_mm512_cmp_ps_mask(__m512(a.part[0]), __m512(b.part[0]), _CMP_EQ_OQ)};
}
NORMEXP_INLINE LaneMask operator|(LaneMask a, LaneMask b) { return {__mmask16(a.bits | b.bits)}; }
NORMEXP_INLINE LaneMask but_not(LaneMask a, LaneMask b) { return {__mmask16(a.bits & ~b.bits)}; }
NORMEXP_INLINE FloatLanes zero_where(LaneMask mask, FloatLanes v) {
    return {VecF(_mm512_maskz_mov_ps(__mmask16(~mask.bits), __m512(v.part[0])))};
}
#else
struct LaneMask {
    VecU32 part[float_parts];  // all bits or none
};
NORMEXP_INLINE LaneMask no_lane() {
    LaneMask r;
    NORMEXP_EACH_FLOAT r.part[i] = VecU32{};
    return r;
}
NORMEXP_INLINE LaneMask equal(FloatLanes a, FloatLanes b) {
    LaneMask r;
    NORMEXP_EACH_FLOAT r.part[i] = VecU32(a.part[i] == b.part[i]);
    return r;
}
NORMEXP_INLINE LaneMask operator|(LaneMask a, LaneMask b) {
    NORMEXP_EACH_FLOAT a.part[i] |= b.part[i];
    return a;
}
NORMEXP_INLINE LaneMask but_not(LaneMask a, LaneMask b) {
    NORMEXP_EACH_FLOAT a.part[i] &= ~b.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes zero_where(LaneMask mask, FloatLanes v) {
    NORMEXP_EACH_FLOAT v.part[i] = VecF(VecU32(v.part[i]) & ~mask.part[i]);
    return v;
}
#endif

// "when a > b then x else y", lane by lane; a NaN in a or b takes y.
NORMEXP_INLINE double where_greater(double a, double b, double x, double y) { return a > b ? x : y; }
NORMEXP_INLINE Lanes where_greater(Lanes a, Lanes b, Lanes x, Lanes y) {
    NORMEXP_EACH_DOUBLE x.part[i] = a.part[i] > b.part[i] ? x.part[i] : y.part[i];
    return x;
}
NORMEXP_INLINE double where_equal(double a, double b, double x, double y) { return a == b ? x : y; }
NORMEXP_INLINE Lanes where_equal(Lanes a, Lanes b, Lanes x, Lanes y) {
    NORMEXP_EACH_DOUBLE x.part[i] = a.part[i] == b.part[i] ? x.part[i] : y.part[i];
    return x;
}

// 2^(low twelve bits of t's significand - 1023): the end of the "add 1.5 * 2^52" rounding trick (see exp.hpp).
NORMEXP_INLINE double exponent_from_low_bits(double t) {
    std::uint64_t bits;
    std::memcpy(&bits, &t, sizeof bits);
    bits <<= 52;
    std::memcpy(&t, &bits, sizeof bits);
    return t;
}
NORMEXP_INLINE Lanes exponent_from_low_bits(Lanes t) {
    NORMEXP_EACH_DOUBLE t.part[i] = VecD(VecI(t.part[i]) << 52);
    return t;
}

// Of a table of sixteen: the entry that the low four bits of v's significand say.
NORMEXP_INLINE double look_up(const double (&table)[lane_count], double v) {
    std::uint64_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return table[bits & 15u];
}
NORMEXP_INLINE Lanes look_up(const double (&table)[lane_count], Lanes v) {
#if NORMEXP_VECTOR_BYTES == 64
    const __m512d low = _mm512_load_pd(table), high = _mm512_load_pd(table + 8);
    NORMEXP_EACH_DOUBLE v.part[i] = VecD(_mm512_permutex2var_pd(low, _mm512_castpd_si512(__m512d(v.part[i])), high));
#elif NORMEXP_VECTOR_BYTES == 32
    NORMEXP_EACH_DOUBLE {
        const __m256i index = _mm256_and_si256(_mm256_castpd_si256(__m256d(v.part[i])), _mm256_set1_epi64x(15));
        v.part[i] = VecD(_mm256_i64gather_pd(table, index, 8));
    }
#else
    NORMEXP_EACH_DOUBLE {
        const VecI index = VecI(v.part[i]) & 15;
        for (int k = 0; k < doubles_per_part; ++k) v.part[i][k] = table[index[k]];
    }
#endif
    return v;
}
// The bits of a and, shifted by 48 places, those of v: see exp_of_block().
NORMEXP_INLINE double plus_shifted_bits(double a, double v) {
    std::uint64_t sum, bits;
    std::memcpy(&sum, &a, sizeof sum), std::memcpy(&bits, &v, sizeof bits);
    sum += bits << 48;
    std::memcpy(&a, &sum, sizeof sum);
    return a;
}
NORMEXP_INLINE Lanes plus_shifted_bits(Lanes a, Lanes v) {
    NORMEXP_EACH_DOUBLE a.part[i] = VecD(VecI(a.part[i]) + (VecI(v.part[i]) << 48));
    return a;
}

// u = 2^k * z with z in [sqrt(1/2), sqrt(2)), for normal u >= 1: returns k as a double, sets z and 2^-k.
template <class V>
struct Split {
    V k, z, inverse_power;
};
constexpr std::int64_t sqrt_half_bits = 0x3FE6A09E667F3BCD;  // sqrt(1/2) rounded to a double
constexpr std::int64_t one_bits = 0x3FF0000000000000;
constexpr std::int64_t two52_bits = 0x4330000000000000;  // 2^52: its low bits read as an integer
NORMEXP_INLINE Split<double> split(double u) {
    std::int64_t bits;
    std::memcpy(&bits, &u, sizeof bits);
    const std::int64_t k = (bits - sqrt_half_bits) >> 52;
    const std::int64_t z_bits = bits - (k << 52), inverse_bits = one_bits - (k << 52);
    Split<double> r{double(k), 0, 0};
    std::memcpy(&r.z, &z_bits, sizeof z_bits);
    std::memcpy(&r.inverse_power, &inverse_bits, sizeof inverse_bits);
    return r;
}
NORMEXP_INLINE Split<Lanes> split(Lanes u) {
    Split<Lanes> r;
    NORMEXP_EACH_DOUBLE {
        const VecI bits = VecI(u.part[i]);
        // u >= 1 > sqrt(1/2), so the difference is not negative and a logical shift serves.
        using VecU = std::uint64_t __attribute__((vector_size(NORMEXP_VECTOR_BYTES)));
        const VecI k = VecI(VecU(bits - sqrt_half_bits) >> 52);
        r.z.part[i] = VecD(bits - (k << 52));
        r.inverse_power.part[i] = VecD(one_bits - (k << 52));
        r.k.part[i] = VecD(k | two52_bits) - 0x1p52;
    }
    return r;
}

// Part by part: GCC copies the whole struct through sixteen-byte pieces and then waits for them.
NORMEXP_INLINE Lanes load_doubles(const double* p) {
    Lanes r;
    NORMEXP_EACH_DOUBLE std::memcpy(&r.part[i], p + i * doubles_per_part, sizeof(VecD));
    return r;
}
NORMEXP_INLINE void store_doubles(double* p, Lanes v) {
    NORMEXP_EACH_DOUBLE std::memcpy(p + i * doubles_per_part, &v.part[i], sizeof(VecD));
}

// Sum of the lanes, always in this order: i + (i + 8), then + 4, + 2, + 1 apart.
NORMEXP_INLINE double sum_lanes(Lanes v) {
#pragma GCC unroll 4
    for (int half = double_parts / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; ++i) v.part[i] += v.part[i + half];
    const VecD a = v.part[0];
#if NORMEXP_VECTOR_BYTES == 64
    const __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(__m512d(a)), _mm512_extractf64x4_pd(__m512d(a), 1));
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return c[0] + c[1];
#elif NORMEXP_VECTOR_BYTES == 32
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(__m256d(a)), _mm256_extractf128_pd(__m256d(a), 1));
    return c[0] + c[1];
#else
    return a[0] + a[1];
#endif
}

NORMEXP_INLINE Lanes set_lane(Lanes v, int lane, double value) {
    double buffer[lane_count];
    store_doubles(buffer, v);
    buffer[lane] = value;
    return load_doubles(buffer);
}
// The first `count` lanes; the others become 0.
NORMEXP_INLINE Lanes first_lanes(Lanes v, int count) {
    alignas(64) static constexpr double index[lane_count] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return where_greater(broadcast<Lanes>(count), load_doubles(index), v, broadcast<Lanes>(0.0));
}

// ---- floats and their conversions ----------------------------------------------------------------------------------

NORMEXP_INLINE FloatLanes load_floats(const float* p) {
    FloatLanes r;
    NORMEXP_EACH_FLOAT std::memcpy(&r.part[i], p + i * floats_per_part, sizeof(VecF));
    return r;
}
// Exact.
NORMEXP_INLINE FloatLanes load_floats(const Half* p) {
    FloatLanes r;
#if NORMEXP_VECTOR_BYTES == 64
    r.part[0] = VecF(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif NORMEXP_VECTOR_BYTES == 32
    NORMEXP_EACH_FLOAT r.part[i] = VecF(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i))));
#else
    // Shift the 15 low bits to float's place and multiply by 2^(127-15): right for normal and subnormal numbers alike.
    for (int lane = 0; lane < lane_count; ++lane) {
        const std::uint32_t magnitude = p[lane].bits & 0x7FFFu, sign = (p[lane].bits & 0x8000u) << 16;
        std::uint32_t bits = magnitude << 13;
        float value;
        std::memcpy(&value, &bits, sizeof value);
        value *= 0x1p112f;
        std::memcpy(&bits, &value, sizeof value);
        if (magnitude >= 0x7C00u) bits |= 0x7F800000u;  // infinity and NaN keep the largest exponent
        bits |= sign;
        std::memcpy(&value, &bits, sizeof value);
        r.part[lane / floats_per_part][lane % floats_per_part] = value;
    }
#endif
    return r;
}
// (GCC 12 splits a 64-byte __builtin_convertvector in two: the intrinsics keep it whole.)
NORMEXP_INLINE FloatLanes load_floats(const BFloat* p) {
    FloatLanes r;
#if NORMEXP_VECTOR_BYTES == 64
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    r.part[0] = VecF(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    return r;
#else
    NORMEXP_EACH_FLOAT {
        HalfVecU16 half;
        std::memcpy(&half, p + i * floats_per_part, sizeof half);
        r.part[i] = VecF(__builtin_convertvector(half, VecU32) << 16);
    }
    return r;
#endif
}

NORMEXP_INLINE VecD widen(HalfVecF half) {
#if NORMEXP_VECTOR_BYTES == 64
    return VecD(_mm512_cvtps_pd(__m256(half)));
#else
    return __builtin_convertvector(half, VecD);
#endif
}
NORMEXP_INLINE HalfVecF narrow(VecD v) {  // rounds to nearest even
#if NORMEXP_VECTOR_BYTES == 64
    return HalfVecF(_mm512_cvtpd_ps(__m512d(v)));
#else
    return __builtin_convertvector(v, HalfVecF);
#endif
}
// Halves of a float vector, kept in registers: through memory, the two narrow stores would stall the wide load.
NORMEXP_INLINE HalfVecF half_of(VecF v, int which) {
#if NORMEXP_VECTOR_BYTES == 64
    return HalfVecF(which ? _mm512_extractf32x8_ps(__m512(v), 1) : _mm512_castps512_ps256(__m512(v)));
#elif NORMEXP_VECTOR_BYTES == 32
    return HalfVecF(which ? _mm256_extractf128_ps(__m256(v), 1) : _mm256_castps256_ps128(__m256(v)));
#else
    return which ? HalfVecF{v[2], v[3]} : HalfVecF{v[0], v[1]};
#endif
}
NORMEXP_INLINE VecF join_halves(HalfVecF low, HalfVecF high) {
#if NORMEXP_VECTOR_BYTES == 64
    return VecF(_mm512_insertf32x8(_mm512_castps256_ps512(__m256(low)), __m256(high), 1));
#elif NORMEXP_VECTOR_BYTES == 32
    return VecF(_mm256_insertf128_ps(_mm256_castps128_ps256(__m128(low)), __m128(high), 1));
#else
    return VecF{low[0], low[1], high[0], high[1]};
#endif
}
NORMEXP_INLINE Lanes widen(FloatLanes v) {
    Lanes r;
    NORMEXP_EACH_DOUBLE r.part[i] = widen(half_of(v.part[i / 2], i % 2));
    return r;
}
NORMEXP_INLINE FloatLanes narrow(Lanes v) {
    FloatLanes r;
    NORMEXP_EACH_FLOAT r.part[i] = join_halves(narrow(v.part[2 * i]), narrow(v.part[2 * i + 1]));
    return r;
}

// In the order of sum_lanes() of doubles.
NORMEXP_INLINE float sum_lanes(FloatLanes v) {
#pragma GCC unroll 2
    for (int half = float_parts / 2; half > 0; half /= 2)
#pragma GCC unroll 2
        for (int i = 0; i < half; ++i) v.part[i] += v.part[i + half];
#if NORMEXP_VECTOR_BYTES == 64
    const __m256 eight = __m256(half_of(v.part[0], 0)) + __m256(half_of(v.part[0], 1));
#elif NORMEXP_VECTOR_BYTES == 32
    const __m256 eight = __m256(v.part[0]);
#endif
#if NORMEXP_VECTOR_BYTES > 16
    const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
#else
    const VecF four = v.part[0];
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
}

NORMEXP_INLINE void store_floats(float* p, FloatLanes v) {
    NORMEXP_EACH_FLOAT std::memcpy(p + i * floats_per_part, &v.part[i], sizeof(VecF));
}
NORMEXP_INLINE FloatLanes without_lane(FloatLanes v, int lane) {
    float buffer[lane_count];
    store_floats(buffer, v);
    buffer[lane] = 0;
    return load_floats(buffer);
}
NORMEXP_INLINE FloatLanes first_lanes(FloatLanes v, int count) {
    alignas(64) static constexpr float index[lane_count] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return where_greater(broadcast<FloatLanes>(count), load_floats(index), v, broadcast<FloatLanes>(0.0));
}

NORMEXP_INLINE void store_floats(Half* p, FloatLanes v) {
#if NORMEXP_VECTOR_BYTES == 64
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(__m512(v.part[0]), _MM_FROUND_TO_NEAREST_INT));
#elif NORMEXP_VECTOR_BYTES == 32
    NORMEXP_EACH_FLOAT _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * i),
                                        _mm256_cvtps_ph(__m256(v.part[i]), _MM_FROUND_TO_NEAREST_INT));
#else
    for (int lane = 0; lane < lane_count; ++lane) {
        const float value = v.part[lane / floats_per_part][lane % floats_per_part];
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
        std::uint32_t half;
        if (magnitude > 0x7F800000u) {
            half = 0x7E00u | ((magnitude >> 13) & 0x03FFu);  // quiet NaN
        } else if (magnitude >= 0x477FF000u) {
            half = 0x7C00u;  // 65520 and above round to infinity
        } else if (magnitude < 0x38800000u) {
            // Below 2^-14: adding 0.5 lines the float's last place up with float16's smallest subnormal, 2^-24.
            float shifted;
            std::memcpy(&shifted, &magnitude, sizeof shifted);
            shifted += 0.5f;
            std::memcpy(&half, &shifted, sizeof half);
            half -= 0x3F000000u;
        } else {
            half = (magnitude + 0x0FFFu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;  // to nearest even
        }
        p[lane].bits = std::uint16_t(sign | half);
    }
#endif
}
NORMEXP_INLINE void store_floats(BFloat* p, FloatLanes v) {
    NORMEXP_EACH_FLOAT {
        const VecU32 bits = VecU32(v.part[i]);
        const VecU32 nearest_even = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
        const VecU32 quiet_nan = (bits >> 16) | 0x40u;
        const VecU32 chosen = v.part[i] == v.part[i] ? nearest_even : quiet_nan;
#if NORMEXP_VECTOR_BYTES == 64
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(__m512i(chosen)));
#else
        const HalfVecU16 half = __builtin_convertvector(chosen, HalfVecU16);
        std::memcpy(p + i * floats_per_part, &half, sizeof half);
#endif
    }
}

// Stores past the caches, for results that will not be read soon: no line is fetched only to be overwritten. `to` is a
// multiple of `bytes`, a vector's or fewer.
template <int bytes>
NORMEXP_INLINE void stream_vector(void* to, const void* from) {
#if NORMEXP_VECTOR_BYTES == 64
    if constexpr (bytes == 64) return _mm512_stream_ps(static_cast<float*>(to), _mm512_loadu_ps(from));
#endif
#if NORMEXP_VECTOR_BYTES >= 32
    if constexpr (bytes == 32)
        return _mm256_stream_ps(static_cast<float*>(to), _mm256_loadu_ps(static_cast<const float*>(from)));
#endif
#if defined(__SSE2__)
    if constexpr (bytes == 16)
        return _mm_stream_ps(static_cast<float*>(to), _mm_loadu_ps(static_cast<const float*>(from)));
#endif
    std::memcpy(to, from, bytes);
}
// Sixteen elements, of which each vector's first is at a multiple of a vector.
template <class T>
NORMEXP_INLINE void stream_sixteen(T* to, const T* from) {
    constexpr int bytes = lane_count * sizeof(T), step = bytes < NORMEXP_VECTOR_BYTES ? bytes : NORMEXP_VECTOR_BYTES;
#pragma GCC unroll 8
    for (int at = 0; at < bytes; at += step)
        stream_vector<step>(reinterpret_cast<char*>(to) + at, reinterpret_cast<const char*>(from) + at);
}
NORMEXP_INLINE void stream_copy(void* to, const void* from, std::size_t bytes) {
    char* out = static_cast<char*>(to);
    const char* in = static_cast<const char*>(from);
    const std::size_t head = -reinterpret_cast<std::uintptr_t>(out) % NORMEXP_VECTOR_BYTES;
    if (head >= bytes) {
        std::memcpy(out, in, bytes);
        return;
    }
    std::memcpy(out, in, head);
    std::size_t at = head;
    for (; at + NORMEXP_VECTOR_BYTES <= bytes; at += NORMEXP_VECTOR_BYTES)
        stream_vector<NORMEXP_VECTOR_BYTES>(out + at, in + at);
    std::memcpy(out + at, in + at, bytes - at);
}
// Streamed stores are weakly ordered: a thread says when it is done.
NORMEXP_INLINE void stream_fence() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// ---- any element type ----------------------------------------------------------------------------------------------

// The largest of a row is found on the narrowest lanes that hold the element type exactly.
template <class T>
struct Compared {
    using Type = FloatLanes;
};
template <>
struct Compared<double> {
    using Type = Lanes;
};

NORMEXP_INLINE Lanes widen(Lanes v) { return v; }

template <class T>
NORMEXP_INLINE typename Compared<T>::Type load_compared(const T* p) {
    return load_floats(p);
}
template <>
[[gnu::always_inline]] inline Lanes load_compared<double>(const double* p) {
    return load_doubles(p);
}
template <class T>
NORMEXP_INLINE Lanes load(const T* p) {
    return widen(load_compared(p));
}
template <>
[[gnu::always_inline]] inline Lanes load<float>(const float* p) {
    Lanes r;
    NORMEXP_EACH_DOUBLE {
        HalfVecF half;
        std::memcpy(&half, p + i * doubles_per_part, sizeof half);
        r.part[i] = widen(half);
    }
    return r;
}
template <class T>
NORMEXP_INLINE void store(T* p, Lanes v) {
    store_floats(p, narrow(v));
}
template <>
[[gnu::always_inline]] inline void store<float>(float* p, Lanes v) {
    NORMEXP_EACH_DOUBLE {
        const HalfVecF half = narrow(v.part[i]);
        std::memcpy(p + i * doubles_per_part, &half, sizeof half);
    }
}
template <>
[[gnu::always_inline]] inline void store<double>(double* p, Lanes v) {
    store_doubles(p, v);
}

// The first `count` (1 to 15) of sixteen elements; the other lanes repeat `filler`. Never reads or writes further.
template <class T>
NORMEXP_INLINE typename Compared<T>::Type load_compared_first(const T* p, int count, T filler) {
    T padded[lane_count];
    for (T& element : padded) element = filler;
    std::memcpy(padded, p, std::size_t(count) * sizeof(T));
    return load_compared(padded);
}
template <class T>
NORMEXP_INLINE void store_first(T* p, int count, Lanes v) {
    T buffer[lane_count];
    store(buffer, v);
    std::memcpy(p, buffer, std::size_t(count) * sizeof(T));
}
#if NORMEXP_VECTOR_BYTES == 64  // masked loads and stores touch only the elements asked for
template <>
[[gnu::always_inline]] inline FloatLanes load_compared_first<float>(const float* p, int count, float filler) {
    return {VecF(_mm512_mask_loadu_ps(_mm512_set1_ps(filler), __mmask16((1u << count) - 1), p))};
}
template <>
[[gnu::always_inline]] inline Lanes load_compared_first<double>(const double* p, int count, double filler) {
    const unsigned mask = (1u << count) - 1;
    const __m512d fill = _mm512_set1_pd(filler);
    return {VecD(_mm512_mask_loadu_pd(fill, __mmask8(mask), p)),
            VecD(_mm512_mask_loadu_pd(fill, __mmask8(mask >> 8), p + 8))};
}
template <>
[[gnu::always_inline]] inline void store_first<float>(float* p, int count, Lanes v) {
    _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), __m512(narrow(v).part[0]));
}
template <>
[[gnu::always_inline]] inline void store_first<double>(double* p, int count, Lanes v) {
    const unsigned mask = (1u << count) - 1;
    _mm512_mask_storeu_pd(p, __mmask8(mask), __m512d(v.part[0]));
    _mm512_mask_storeu_pd(p + 8, __mmask8(mask >> 8), __m512d(v.part[1]));
}
#endif
template <class T>
NORMEXP_INLINE void store_floats_first(T* p, int count, FloatLanes v) {
    T buffer[lane_count];
    store_floats(buffer, v);
    std::memcpy(p, buffer, std::size_t(count) * sizeof(T));
}
#if NORMEXP_VECTOR_BYTES == 64
template <>
[[gnu::always_inline]] inline void store_floats_first<float>(float* p, int count, FloatLanes v) {
    _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), __m512(v.part[0]));
}
#endif
template <class T>
NORMEXP_INLINE Lanes load_first(const T* p, int count, T filler) {
    return widen(load_compared_first(p, count, filler));
}

// A NaN in b is dropped, a NaN in a may be: whoever needs NaN to be seen learns of it from the sum.
NORMEXP_INLINE Lanes larger(Lanes a, Lanes b) {
    NORMEXP_EACH_DOUBLE a.part[i] = b.part[i] > a.part[i] ? b.part[i] : a.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes larger(FloatLanes a, FloatLanes b) {
    NORMEXP_EACH_FLOAT a.part[i] = b.part[i] > a.part[i] ? b.part[i] : a.part[i];
    return a;
}
NORMEXP_INLINE FloatLanes operator*(FloatLanes a, float b) {
    NORMEXP_EACH_FLOAT a.part[i] *= b;
    return a;
}
NORMEXP_INLINE Lanes operator*(Lanes a, double b) {
    NORMEXP_EACH_DOUBLE a.part[i] *= b;
    return a;
}
template <class Number>
NORMEXP_INLINE double largest_of(Number* buffer) {
    for (int width = lane_count / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) buffer[i] = buffer[i + width] > buffer[i] ? buffer[i + width] : buffer[i];
    return buffer[0];
}
NORMEXP_INLINE double largest(FloatLanes v) {
#if NORMEXP_VECTOR_BYTES == 64
    return _mm512_reduce_max_ps(__m512(v.part[0]));
#else
    float buffer[lane_count];
    store_floats(buffer, v);
    return largest_of(buffer);
#endif
}
NORMEXP_INLINE double largest(Lanes v) {
    double buffer[lane_count];
    store_doubles(buffer, v);
    return largest_of(buffer);
}

// Bit i is set when lane i equals `value`.
NORMEXP_INLINE unsigned equal_lanes(FloatLanes v, double value) {
    unsigned bits = 0;
#if NORMEXP_VECTOR_BYTES == 64
    bits = _mm512_cmp_ps_mask(__m512(v.part[0]), _mm512_set1_ps(float(value)), _CMP_EQ_OQ);
#elif NORMEXP_VECTOR_BYTES == 32
    NORMEXP_EACH_FLOAT bits |=
        unsigned(_mm256_movemask_ps(_mm256_cmp_ps(__m256(v.part[i]), _mm256_set1_ps(float(value)), _CMP_EQ_OQ)))
        << (8 * i);
#elif defined(__SSE2__)
    NORMEXP_EACH_FLOAT bits |= unsigned(_mm_movemask_ps(_mm_cmpeq_ps(__m128(v.part[i]), _mm_set1_ps(float(value)))))
                               << (4 * i);
#else
    for (int lane = 0; lane < lane_count; ++lane)
        bits |= unsigned(double(v.part[lane / floats_per_part][lane % floats_per_part]) == value) << lane;
#endif
    return bits;
}
NORMEXP_INLINE unsigned equal_lanes(Lanes v, double value) {
    unsigned bits = 0;
#if NORMEXP_VECTOR_BYTES == 64
    NORMEXP_EACH_DOUBLE bits |= unsigned(_mm512_cmp_pd_mask(__m512d(v.part[i]), _mm512_set1_pd(value), _CMP_EQ_OQ))
                                << (8 * i);
#elif NORMEXP_VECTOR_BYTES == 32
    NORMEXP_EACH_DOUBLE bits |=
        unsigned(_mm256_movemask_pd(_mm256_cmp_pd(__m256d(v.part[i]), _mm256_set1_pd(value), _CMP_EQ_OQ))) << (4 * i);
#elif defined(__SSE2__)
    NORMEXP_EACH_DOUBLE bits |= unsigned(_mm_movemask_pd(_mm_cmpeq_pd(__m128d(v.part[i]), _mm_set1_pd(value))))
                                << (2 * i);
#else
    double buffer[lane_count];
    store_doubles(buffer, v);
    for (int lane = 0; lane < lane_count; ++lane) bits |= unsigned(buffer[lane] == value) << lane;
#endif
    return bits;
}
constexpr unsigned every_lane = (1u << lane_count) - 1;
NORMEXP_INLINE bool all_zero(Lanes v) { return equal_lanes(v, 0.0) == every_lane; }

}  // namespace normexp::NORMEXP_LEVEL
