// Prints digests of the bits of many results, a line for each kind of call, at the CPU level in use; with --levels, the
// levels there are. tools/neon.py compares what this program prints when compiled for this machine and for AArch64.
//
// Inputs are put together from the bits of an integer generator, so that nothing but the engine computes on floats here.
#include <cstdio>
#include <cstring>
#include <vector>

#include "job.hpp"
#include "parallel.hpp"

using namespace normexp;
using Bits = std::uint64_t;

namespace {

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
};
constexpr Format formats[] = {{"float16", DType::float16, 2, 10, 5},
                              {"bfloat16", DType::bfloat16, 2, 7, 8},
                              {"float32", DType::float32, 4, 23, 8},
                              {"float64", DType::float64, 8, 52, 11}};

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

constexpr Bits ln2_fraction = 0x62e42fefa39ef;  // ln 2 = 2^-1 * 1.62e42fefa39ef, ln 8 = 3 ln 2 = 2 * 1.0a2b23f3bab73
constexpr Bits ln8_fraction = 0x0a2b23f3bab73;

Bits logit(const Format& f, Kind kind, std::int64_t column, std::int64_t length, Random& random) {
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

enum Variant { rows, strided, reversed, columns, two_axes, masked, negated, heated, in_place, streamed, variants };
constexpr const char* variant_names[] = {"rows",   "strided", "reversed", "columns",  "two axes",
                                         "masked", "negated", "heated",   "in place", "streamed"};
constexpr Op ops[] = {Op::softmax, Op::log_softmax, Op::logsumexp, Op::state};
constexpr const char* op_names[] = {"softmax", "log_softmax", "logsumexp", "state"};

struct Digest {  // FNV-1a
    Bits value = 0xCBF29CE484222325;
    template <class T>
    void add(const std::vector<T>& results) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(results.data());
        for (std::size_t i = 0; i < results.size() * sizeof(T); ++i) value = (value ^ bytes[i]) * 0x100000001B3;
    }
};

// Runs one call and adds its results, and the gaps between them, to the digest.
void call(const Format& f, Op op, Variant variant, Kind kind, std::int64_t count, std::int64_t length, Digest& digest) {
    Random random{Bits(f.bytes) << 40 ^ Bits(kind) << 32 ^ Bits(length)};
    const bool maps = op == Op::softmax || op == Op::log_softmax;
    const std::int64_t item = f.bytes, apart = variant == strided ? 3 * item : item;
    const std::int64_t elements = count * length;
    std::vector<char> x(std::size_t(elements * apart)), mask(std::size_t(elements), 1);
    for (std::int64_t i = 0; i < elements; ++i) {
        const Bits bits = logit(f, kind, variant == columns ? i / count : i % length, length, random);
        std::memcpy(&x[std::size_t(i * apart)], &bits, std::size_t(item));
        if (variant == masked) mask[std::size_t(i)] = random.below(3) > 0;
    }
    const std::int64_t size = op == Op::state ? 24 : item;
    std::vector<char> out(std::size_t(maps ? elements * apart : count * size));

    Job job{};
    job.op = op, job.dtype = f.dtype;
    job.x = x.data(), job.out = variant == in_place && maps ? x.data() : out.data();
    job.mask = variant == masked ? mask.data() : nullptr;
    job.negate = variant == negated, job.temperature = variant == heated ? 0.7 : 1.0;
    job.row_axes = job.outer_axes = 1;
    const std::int64_t row_out = maps ? apart : 0, outer_out = maps ? apart * length : size;
    job.row[0] = {length, apart, row_out, 1}, job.outer[0] = {count, apart * length, outer_out, length};
    if (variant == columns)
        job.row[0] = {length, item * count, row_out * count, count},
        job.outer[0] = {count, item, maps ? item : size, 1};
    if (variant == two_axes && length % 3 == 0) {
        job.row_axes = 2;
        job.row[0] = {3, item, row_out, 1}, job.row[1] = {length / 3, 3 * item, 3 * row_out, 3};
    }
    if (variant == reversed) {
        job.x += (elements - 1) * item, job.row[0].x = -item, job.outer[0].x = -item * length;
        job.out += maps ? (elements - 1) * item : (count - 1) * size;
        job.row[0].out = -row_out, job.outer[0].out = -outer_out;
    }
    plan(job);
    if (variant == streamed) job.stream = maps && job.out_contiguous && !job.across;
    run(job);
    digest.add(variant == in_place && maps ? x : out);
}

void print(const Format& f, const char* what, const char* how, const Digest& digest) {
    std::printf("%s %s %s %016llx\n", f.name, what, how, static_cast<unsigned long long>(digest.value));
}

void merge_and_value(const Format& f) {
    constexpr std::int64_t count = 64, length = 5;
    std::vector<double> states(3 * count), merged(3 * count / 2), values(count / 2);
    Random random{7};
    std::vector<char> x(std::size_t(count * length * f.bytes));
    for (std::int64_t i = 0; i < count * length; ++i) {
        const Bits bits = logit(f, Kind(i / length % kinds), i % length, length, random);
        std::memcpy(&x[std::size_t(i * f.bytes)], &bits, std::size_t(f.bytes));
    }
    Job job{};
    job.op = Op::state, job.dtype = f.dtype, job.x = x.data(), job.out = reinterpret_cast<char*>(states.data());
    job.temperature = 1.0, job.row_axes = job.outer_axes = 1;
    job.row[0] = {length, f.bytes, 0, 0}, job.outer[0] = {count, f.bytes * length, 24, 0};
    plan(job);
    run(job);
    kernels().merge_states(states.data(), states.data() + 3 * count / 2, merged.data(), count / 2);
    kernels().state_values(merged.data(), values.data(), count / 2);
    Digest digest;
    digest.add(merged), digest.add(values);
    print(f, "state", "merged", digest);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && !std::strcmp(argv[1], "--levels")) {
        for (int i = 0; const char* name = level_names(i); ++i) std::puts(name);
        return 0;
    }
    for (const Format& f : formats) {
        for (std::size_t op = 0; op < std::size(ops); ++op) {
            for (int variant = 0; variant < variants; ++variant) {
                Digest digest;
                for (std::int64_t length : {1, 2, 3, 8, 9, 15, 16, 17, 33, 63, 132, 258, 2049, 4101}) {
                    const bool is_long = length > 300;
                    for (int kind = 0; kind < kinds; kind += is_long ? 3 : 1)
                        call(f, ops[op], Variant(variant), Kind(kind), is_long ? 1 : 19, length, digest);
                }
                print(f, op_names[op], variant_names[variant], digest);
            }
            set_thread_count(3);  // a long row is split, many short ones are dealt out
            Digest digest;
            call(f, ops[op], rows, ordinary, 1, (1 << 17) + 5, digest);
            call(f, ops[op], columns, ordinary, 7001, 10, digest);
            print(f, op_names[op], "threads", digest);
            set_thread_count(1);
        }
        merge_and_value(f);
    }
}
