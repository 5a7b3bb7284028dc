// What the battery computes on and what it makes of results: logits put together from the bits of an integer generator,
// so that nothing but the engine computes on floats, and digests.
#pragma once

#include <cstring>
#include <vector>

#include "job.hpp"

using namespace normexp;
using Bits = std::uint64_t;

struct Format {
    const char* name;
    DType dtype;
    int bytes, digits, exponent_bits;  // digits: of the significand, without the leading one

    Bits top_exponent() const { return (Bits(1) << exponent_bits) - 1; }  // of infinity and NaN
    Bits pack(Bits sign, Bits exponent, Bits significand) const {
        return sign << (8 * bytes - 1) | exponent << digits | (significand & ((Bits(1) << digits) - 1));
    }
    // 2^e * (1 + the fraction whose leading bits these 52 are)
    Bits number(Bits sign, int e, Bits fraction) const {
        return pack(sign, Bits(e + int(top_exponent() / 2)), fraction >> (52 - digits));
    }
    Bits infinity(Bits sign) const { return pack(sign, top_exponent(), 0); }
    bool is_nan(Bits bits) const { return (bits & ~pack(1, 0, 0)) > infinity(0); }
};
inline constexpr Format formats[] = {{"float16", DType::float16, 2, 10, 5},
                                     {"bfloat16", DType::bfloat16, 2, 7, 8},
                                     {"float32", DType::float32, 4, 23, 8},
                                     {"float64", DType::float64, 8, 52, 11}};
inline constexpr const Format& float64 = formats[3];

struct Random {  // splitmix64
    Bits state;
    Bits next() {
        Bits z = state += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }
    int below(int limit) { return int(next() >> 33) % limit; }
};

enum Kind { small, ordinary, wide, everywhere, subnormal, far, confident, ties, log_probabilities, special, kinds };

// ln 2 = 2^-1 * 1.62e42fefa39ef and ln 8 = 3 ln 2 = 2 * 1.0a2b23f3bab73, in hexadecimal
inline constexpr Bits ln2_fraction = 0x62e42fefa39ef;
inline constexpr Bits ln8_fraction = 0x0a2b23f3bab73;

inline Bits logit(const Format& f, Kind kind, std::int64_t column, std::int64_t length, Random& random) {
    // One after the other: compilers differ in the order in which they evaluate the arguments of a call.
    const Bits sign = random.next() >> 63, fraction = random.next() >> 12;
    switch (kind) {
        case small: return f.number(sign, -1 - random.below(12), fraction);
        case ordinary: return f.number(sign, random.below(7) - 4, fraction);
        case wide: return f.number(sign, random.below(18) - 8, fraction);
        case everywhere: return f.pack(sign, random.next() % f.top_exponent(), fraction);
        case subnormal: return f.pack(sign, 0, fraction);
        case far: return f.number(1, 13, fraction >> 8);
        case confident: return f.number(column == length / 2 ? 0 : 1, 4, fraction);
        case ties: return f.number(sign, random.below(3), 0);
        case log_probabilities:  // ln(1/2) and ln(1/8) and their neighbours: with 2 or 8 of them the sum is nearly 1
            return (length == 2 ? f.number(1, -1, ln2_fraction) : f.number(1, 1, ln8_fraction)) + Bits(random.below(3));
        case special:
            switch (random.below(36)) {
                case 0: return f.infinity(0);
                case 1: return f.pack(0, f.top_exponent(), Bits(1) << (f.digits - 1));
                case 2: return f.pack(1, 0, 0);
                case 3: return f.infinity(1);
                default: return f.number(sign, random.below(7) - 4, fraction);
            }
        case kinds: break;
    }
    return 0;
}

// FNV-1a over numbers of one format, with one pattern for all NaNs: which of them a NaN is, is nobody's promise.
struct Digest {
    Bits value = 0xCBF29CE484222325;
    void add(const Format& f, const void* numbers, std::size_t bytes) {
        const auto* from = static_cast<const char*>(numbers);
        for (std::size_t at = 0; at < bytes; at += std::size_t(f.bytes)) {
            Bits bits = 0;
            std::memcpy(&bits, from + at, std::size_t(f.bytes));
            if (f.is_nan(bits)) bits = ~Bits(0);
            for (int i = 0; i < f.bytes; ++i) value = (value ^ (bits >> 8 * i & 0xFF)) * 0x100000001B3;
        }
    }
    void add(const Format& f, const std::vector<char>& numbers) { add(f, numbers.data(), numbers.size()); }
    void add(const std::vector<double>& numbers) { add(float64, numbers.data(), 8 * numbers.size()); }
    void add(const std::vector<std::int64_t>& numbers) {
        for (const std::int64_t number : numbers) value = (value ^ Bits(number)) * 0x100000001B3;
    }
};

// Some rows of logits, and a job on them that writes to arrays of the same shape, or one number to a row. The rows lie
// one after another, or side by side as columns; `gap` elements are left out between neighbours.
struct Call {
    const Format& f;
    std::int64_t count, length, item, step;
    bool columns;
    Random random;
    std::vector<char> x, out;
    Job job{};

    Call(const Format& format, Op op, Kind kind, std::int64_t rows, std::int64_t classes, bool side_by_side = false,
         std::int64_t gap = 0)
        : f(format), count(rows), length(classes), item(f.bytes), step(item * (1 + gap)), columns(side_by_side),
          random{Bits(f.bytes) << 40 ^ Bits(kind) << 32 ^ Bits(length)},
          x(fill([&](std::int64_t column) { return logit(f, kind, column, length, random); })) {
        job.op = op, job.dtype = f.dtype, job.x = x.data(), job.temperature = 1.0;
        job.row_axes = job.outer_axes = 1;
        const bool maps = op != Op::logsumexp && op != Op::state;
        const std::int64_t size = op == Op::state ? 24 : item;
        out.resize(std::size_t(maps ? count * length * step : count * size));
        job.out = out.data();
        job.row[0] = {length, between_classes(), maps ? between_classes() : 0, columns ? count : 1};
        job.outer[0] = {count, between_rows(), maps ? between_rows() : size, columns ? 1 : length};
    }
    std::int64_t between_classes() const { return columns ? count * step : step; }
    std::int64_t between_rows() const { return columns ? step : length * step; }

    // An array of the shape of x.
    template <class F>
    std::vector<char> fill(F bits_of) {
        std::vector<char> array(std::size_t(count * length * step));
        for (std::int64_t row = 0; row < count; ++row)
            for (std::int64_t column = 0; column < length; ++column) {
                const Bits bits = bits_of(column);
                std::memcpy(&array[std::size_t(row * between_rows() + column * between_classes())], &bits,
                            std::size_t(item));  // little-endian, as all machines there are kernels for
            }
        return array;
    }
    std::vector<std::int64_t> labels() {
        std::vector<std::int64_t> labels;
        for (std::int64_t row = 0; row < count; ++row) labels.push_back(random.below(int(length)));
        return labels;
    }
};
