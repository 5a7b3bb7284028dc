// The functions on one row: reduce it to its state, then map. Lanes run along the row; a row that is strided or masked
// is copied block by block into a buffer in the first-level cache and handled there.
#pragma once

#include <new>
#include <type_traits>

#include "fixed_sum.hpp"
#include "job.hpp"
#include "lse.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class T>
struct Native {
    using Width = Single;
};
template <>
struct Native<double> {
    using Width = Wide;
};

NORMEXP_INLINE Scale scale_of(const Job& job) {
    // 1 / temperature in two words. The kernels take the unscaled path when there is nothing to scale.
    const double unit = job.temperature > 0x1p900 ? 0x1p-128 : 1.0;
    const Two<double> inverse = reciprocal(Two<double>{job.temperature * unit, 0.0});
    return {inverse.hi, inverse.lo, unit};
}

// What a reduction leaves for the map: the max of each block and the exponentials of the first blocks, as many as stay in
// the second-level cache beside the row. One to a thread, grown when needed. (Not a std::vector: its functions would be
// compiled for this CPU level and then, by their name, serve all.)
template <class Width>
struct Kept {
    static constexpr std::int64_t most_bytes = 512 << 10;
    static constexpr std::int64_t most_blocks =
        most_bytes / std::int64_t(block_size / lane_count * sizeof(Num<Width, Lanes>));

    Num<Width, Lanes>* exponentials = nullptr;
    double* maxima = nullptr;
    std::int64_t room = 0;

    Kept() = default;
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() { release(); }

    Num<Width, Lanes>* of(std::int64_t block) const { return exponentials + block * (block_size / lane_count); }
    void reserve(std::int64_t blocks) {
        if (blocks <= room) return;
        release();
        const std::int64_t kept_blocks = blocks < most_blocks ? blocks : most_blocks;
        exponentials = static_cast<Num<Width, Lanes>*>(
            // One more: a map may read sixteen of which only the first belong to the last block.
            ::operator new(std::size_t(kept_blocks * (block_size / lane_count) + 1) * sizeof(Num<Width, Lanes>),
                           std::align_val_t(alignof(Lanes))));
        maxima = static_cast<double*>(::operator new(std::size_t(blocks) * sizeof(double)));
        room = blocks;
    }

private:
    void release() {
        ::operator delete(exponentials, std::align_val_t(alignof(Lanes)));
        ::operator delete(maxima);
        exponentials = nullptr, maxima = nullptr, room = 0;
    }
};

NORMEXP_INLINE std::int64_t block_count(const Job& job) { return (job.length + block_size - 1) / block_size; }

// Byte offsets of row `index` in the arrays of a job.
struct Offsets {
    std::int64_t x, out, mask, target, value;
};
NORMEXP_INLINE Offsets row_offsets(const Job& job, std::int64_t index) {
    Offsets at{};
    for (int axis = job.outer_axes - 1; axis >= 0; --axis) {
        const Axis& a = job.outer[axis];
        const std::int64_t k = axis == 0 ? index : index % a.size;
        if (axis != 0) index /= a.size;
        at.x += k * a.x, at.out += k * a.out, at.mask += k * a.mask, at.target += k * a.target, at.value += k * a.value;
    }
    return at;
}

// Visits elements [first, first + count) of a row in logical order: f(position in the block, offsets of the element).
template <class F>
NORMEXP_INLINE void visit(const Job& job, std::int64_t first, std::int64_t count, F f) {
    const int inner = job.row_axes - 1;
    std::int64_t index[max_axes], rest = first;  // as many as there are axes are set next
    for (int axis = inner; axis >= 0; --axis) {
        index[axis] = axis == 0 ? rest : rest % job.row[axis].size;
        rest /= job.row[axis].size;
    }
    for (std::int64_t done = 0; done < count;) {
        Offsets at{};
        for (int axis = 0; axis <= inner; ++axis) {
            const Axis& a = job.row[axis];
            at.x += index[axis] * a.x, at.out += index[axis] * a.out, at.mask += index[axis] * a.mask;
            at.target += index[axis] * a.target;
        }
        const Axis& a = job.row[inner];
        for (; index[inner] < a.size && done < count; ++index[inner], ++done) {
            f(done, at);
            at.x += a.x, at.out += a.out, at.mask += a.mask, at.target += a.target;
        }
        for (int axis = inner; axis > 0 && index[axis] == job.row[axis].size; --axis)
            index[axis] = 0, ++index[axis - 1];
    }
}

template <class T>
NORMEXP_INLINE T element(double value);
template <>
inline float element<float>(double value) {
    return float(value);
}
template <>
inline double element<double>(double value) {
    return value;
}
template <>
inline Half element<Half>(double value) {  // for 0, infinities and NaN only
    return {std::uint16_t(value != value ? 0x7E00 : value > 0 ? 0x7C00 : value < 0 ? 0xFC00 : 0)};
}
template <>
inline BFloat element<BFloat>(double value) {
    return {std::uint16_t(value != value ? 0x7FC0 : value > 0 ? 0x7F80 : value < 0 ? 0xFF80 : 0)};
}

// One element as a double.
template <class T>
NORMEXP_INLINE double value_at(const char* p) {
    T padded[lane_count];
    for (T& element : padded) std::memcpy(&element, p, sizeof(T));
    double lanes[lane_count];
    store_doubles(lanes, load(padded));
    return lanes[0];
}
template <>
[[gnu::always_inline]] inline double value_at<float>(const char* p) {
    float value;
    std::memcpy(&value, p, sizeof value);
    return double(value);
}
template <>
[[gnu::always_inline]] inline double value_at<double>(const char* p) {
    double value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

// Flips the sign bit: softmin is softmax of the negated logits.
template <class T>
NORMEXP_INLINE void negate(T* element) {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
    Bits bits;
    std::memcpy(&bits, element, sizeof bits);
    bits = Bits(bits ^ Bits(1) << (8 * sizeof bits - 1));
    std::memcpy(element, &bits, sizeof bits);
}

// Where a block's results go, and whether past the caches.
template <class T>
struct Place {
    T* out;
    bool stream;
};

// One row of the arrays, read and written a block at a time.
template <class T>
struct Row {
    const Job& job;
    std::int64_t index = 0;
    const char *x, *mask, *target;
    char *out, *value;
    bool any = false;  // an element of the blocks read so far is not masked
    alignas(64) T in_buffer[block_size];
    alignas(64) T out_buffer[block_size];

    explicit Row(const Job& j) : job(j) {}

    void move_to(std::int64_t row) {
        index = row;
        const Offsets at = row_offsets(job, row);
        x = job.x + at.x, out = job.out ? job.out + at.out : nullptr, mask = job.mask ? job.mask + at.mask : nullptr;
        target = job.target ? job.target->data + at.target : nullptr;
        value = job.target && job.target->value ? job.target->value + at.value : nullptr;
        any = false;
    }
    std::int64_t count(std::int64_t block) const {
        const std::int64_t left = job.length - block * block_size;
        return left < block_size ? left : block_size;
    }
    const T* read(std::int64_t block) {
        const std::int64_t first = block * block_size;
        if (!mask) any = true;
        if (job.x_contiguous && !mask && !job.negate) return reinterpret_cast<const T*>(x) + first;
        const T ignored = element<T>(-infinity);
        visit(job, first, count(block), [&](std::int64_t i, const Offsets& at) NORMEXP_INLINE_LAMBDA {
            if (!mask || mask[at.mask]) {
                std::memcpy(&in_buffer[i], x + at.x, sizeof(T));
                if (job.negate) negate(&in_buffer[i]);
                any = true;
            } else {
                in_buffer[i] = ignored;
            }
        });
        return in_buffer;
    }
    // Where to put the block's results; write() then takes them on to their place, if they are not there yet.
    Place<T> place(std::int64_t block) {
        if (!out_contiguous()) return buffer();
        return {reinterpret_cast<T*>(out) + block * block_size, job.stream};
    }
    Place<T> buffer() { return {out_buffer, false}; }
    void write(std::int64_t block, Place<T> from) {
        if (from.out != out_buffer) return;
        const std::int64_t first = block * block_size;
        const std::size_t bytes = std::size_t(count(block)) * sizeof(T);
        if (out_contiguous() && job.stream) return stream_copy(reinterpret_cast<T*>(out) + first, out_buffer, bytes);
        if (out_contiguous()) return void(std::memcpy(reinterpret_cast<T*>(out) + first, out_buffer, bytes));
        const T masked = element<T>(job.op == Op::softmax ? 0.0 : -infinity);
        visit(job, first, count(block), [&](std::int64_t i, const Offsets& at) NORMEXP_INLINE_LAMBDA {
            std::memcpy(out + at.out, mask && !mask[at.mask] ? &masked : &out_buffer[i], sizeof(T));
        });
    }
    void fill(std::int64_t block, double value) {
        const Place<T> to = place(block);
        const T v = element<T>(value);
        for (std::int64_t i = 0; i < count(block); ++i) to.out[i] = v;
        write(block, to);
    }
    bool out_contiguous() const { return job.out_contiguous && !mask; }
};

// Reduces the whole row in the given width. With `kept`, fills its maxima and, if asked to, its exponentials.
template <class Width, bool scaled, bool keep, bool for_softmax, class T>
static State<Width, double> reduce_row(Row<T>& row, const Scale& scale, Kept<Width>* kept) {
    const std::int64_t blocks = block_count(row.job);
    State<Width, double> state;
    for (std::int64_t block = 0; block < blocks; ++block) {
        const char* out = for_softmax && row.out_contiguous() && !row.job.stream
                              ? row.out + block * block_size * std::int64_t(sizeof(T))
                              : nullptr;
        const T* x = row.read(block);
        Num<Width, Lanes>* const none = nullptr;
        const auto next =
            keep && block < Kept<Width>::most_blocks
                ? fold_block<Width, scaled, keep, for_softmax>(x, row.count(block), scale, kept->of(block), out)
                : fold_block<Width, scaled, false, for_softmax>(x, row.count(block), scale, none, out);
        if (kept) kept->maxima[block] = next.max;
        state = block == 0 ? next : merge<Width, scaled>(state, next, scale);
    }
    return state;
}
template <class Width, class T>
static State<Width, double> reduce_row(Row<T>& row) {
    return reduce_row<Width, false, false, false>(row, Scale{}, static_cast<Kept<Width>*>(nullptr));
}

// The position of the row's first NaN; its length if there is none.
template <class T>
static std::int64_t first_nan(Row<T>& row) {
    for (std::int64_t block = 0; block < block_count(row.job); ++block) {
        const T* x = row.read(block);
        for (std::int64_t i = 0; i < row.count(block); ++i) {
            const double value = value_at<T>(reinterpret_cast<const char*>(x + i));
            if (value != value) return block * block_size + i;
        }
    }
    return row.job.length;
}
template <class T>
static bool has_nan(Row<T>& row) {
    return first_nan(row) < row.job.length;
}

// ---- the maps --------------------------------------------------------------------------------------------------------

// excess * exp(d) / (1 + rest), rounded once: `factor` is 1 / (excess * (1 + rest)).
NORMEXP_INLINE Lanes softmax_of(Lanes e, Lanes factor) { return e * factor; }
NORMEXP_INLINE Lanes softmax_of(Two<Lanes> e, Two<Lanes> factor) {
    return fma(e.hi, factor.hi, fma(e.hi, factor.lo, e.lo * factor.hi));
}
// In floats: with the factor's second word and the exponential's, one rounding.
// Times 2^32, taken back at the end: beside a result near the smallest normal number, the small products would themselves
// be rounded as subnormal numbers.
constexpr double small_products = 0x1p32;
struct SingleFactor {
    FloatLanes hi, lo;
};
NORMEXP_INLINE SingleFactor single_words(Lanes factor) {
    const Lanes raised = factor * small_products;
    const FloatLanes hi = narrow(raised);
    return {hi, narrow(raised - widen(hi))};
}
NORMEXP_INLINE FloatLanes softmax_of(Two<FloatLanes> e, const SingleFactor& factor) {
    return fma(e.hi, factor.hi, fma(e.hi, factor.lo, e.lo * factor.hi)) * float(1 / small_products);
}
NORMEXP_INLINE FloatLanes softmax_of(FloatLanes e, FloatLanes factor) { return e * factor; }

// The factor for a type's exponentials.
template <class T>
NORMEXP_INLINE auto factor_words(Lanes factor) {
    if constexpr (__is_same(Exp<T>, FloatLanes))
        return narrow(factor);
    else
        return single_words(factor);
}
// d - log(1 + rest): neither term is positive, so nothing cancels.
template <class V>
NORMEXP_INLINE V log_softmax_of(V d, V log_sum) {
    return d - log_sum;
}
template <class V>
NORMEXP_INLINE V log_softmax_of(Two<V> d, Two<V> log_sum) {
    const Two<V> sum = two_sum(d.hi, -log_sum.hi);
    const V low = (d.lo - log_sum.lo) + sum.lo;
    // Beyond float64's range the exact parts are inf - inf: NaN, which is not equal to itself.
    return sum.hi + where_equal(low, low, low, broadcast<V>(0.0));
}

template <class N>
NORMEXP_INLINE auto spread(N value) {
    if constexpr (__is_same(N, double))
        return broadcast<Lanes>(value);
    else
        return Two<Lanes>{broadcast<Lanes>(value.hi), broadcast<Lanes>(value.lo)};
}

template <class T>
NORMEXP_INLINE void store_part(T* out, int count, Lanes v) {
    count == lane_count ? store(out, v) : store_first(out, count, v);
}
template <class T>
NORMEXP_INLINE void store_part(T* out, int count, FloatLanes v) {
    count == lane_count ? store_floats(out, v) : store_floats_first(out, count, v);
}
template <class T, class V>
NORMEXP_INLINE void put_sixteen(Place<T> to, std::int64_t at, V v) {
    if (!to.stream) return store_part(to.out + at, lane_count, v);
    alignas(64) T results[lane_count];
    store_part(results, lane_count, v);
    stream_sixteen(to.out + at, results);
}
// How many of a block's results come before the first that can be the first of a streamed vector; `count` if none can.
template <class T>
NORMEXP_INLINE std::int64_t before_stream(const T* out, std::int64_t count) {
    constexpr std::uintptr_t sixteen = lane_count * sizeof(T);
    constexpr std::uintptr_t vector = sixteen < NORMEXP_VECTOR_BYTES ? sixteen : NORMEXP_VECTOR_BYTES;
    const std::uintptr_t bytes = -reinterpret_cast<std::uintptr_t>(out) % vector;
    return bytes % sizeof(T) == 0 ? std::int64_t(bytes / sizeof(T)) : count;
}
// Writes f(at, valid), the results of the `valid` elements from `at` on, at most sixteen, for a block. `at` may be any
// place: none of them may depend on which others it is taken with. runs(at): the results of `packed` sixteens.
template <int packed, class T, class Runs, class F>
NORMEXP_INLINE void map_block(Place<T> to, std::int64_t count, Runs runs, F f) {
    std::int64_t at = 0;
    const auto part = [&](std::int64_t valid) NORMEXP_INLINE_LAMBDA {
        if (valid) store_part(to.out + at, int(valid), f(at, int(valid))), at += valid;
    };
    if (to.stream) {
        const std::int64_t before = before_stream(to.out, count);
        to.stream = before < count;
        if (to.stream) part(before);
    }
    for (; at + packed * lane_count <= count; at += packed * lane_count) {
        const auto results = runs(at);
#pragma GCC unroll 8
        for (int i = 0; i < packed; ++i) put_sixteen(to, at + i * lane_count, results.of[i]);
    }
    for (; at + lane_count <= count; at += lane_count) put_sixteen(to, at, f(at, lane_count));
    part(count - at);
}
template <class T, class F>
NORMEXP_INLINE void map_block(Place<T> to, std::int64_t count, F f) {
    struct One {
        decltype(f(0, lane_count)) of[1];
    };
    map_block<1>(to, count, [&](std::int64_t at) NORMEXP_INLINE_LAMBDA { return One{{f(at, lane_count)}}; }, f);
}
template <class T>
NORMEXP_INLINE Lanes load_part(const T* x, std::int64_t at, int count) {
    return count == lane_count ? load(x + at) : load_first(x + at, count, x[0]);
}
// From the logits, in the arithmetic that any of them can be computed in.
template <bool scaled, class Width, class T>
NORMEXP_INLINE void softmax_wide_block(const T* x, Place<T> to, std::int64_t count, double base,
                                       Num<Width, double> factor, const Scale& scale) {
    const auto words = spread(factor);
    const Lanes from = broadcast<Lanes>(base);
    map_block(to, count, [&](std::int64_t at, int valid) NORMEXP_INLINE_LAMBDA {
        Lanes logits = load_part(x, at, valid);
        return softmax_of(exp_of_block<Width>(difference<Width, scaled>(logits, from, scale)), words);
    });
}

// Whether a factor and its second word are normal floats, or 0. Those of softmax are; that of a gradient has a share of
// the mean in it, and a weight.
// Raised, the second word is good to 2^-149, 2^-27 of the first; e^0, with its 2^60, stays below 2^128.
// In one word, it is itself to be a normal float.
constexpr double single_least = 0x1p-154, brief_least = 0x1p-126, single_most = 0x1p34;
template <class T>
constexpr double least_factor = __is_same(Exp<T>, FloatLanes) ? brief_least : single_least;
template <class T>
NORMEXP_INLINE bool fits_single(double factor) {
    const double size = factor < 0 ? -factor : factor;
    return (size >= least_factor<T> && size <= single_most) || factor == 0;
}

template <class T>
NORMEXP_INLINE void store_one(char* out, double value) {
    T buffer[lane_count];
    store(buffer, broadcast<Lanes>(value));
    std::memcpy(out, buffer, sizeof(T));
}

// One place of a block where another value stands instead of softmax.
struct Exception {
    std::int64_t place = -1;
    double value = 0.0;
};
// Puts an exponential among those kept that the map takes to the value, to the bit: the quotient, in as many floats as
// there are, is good to an eighth of a rounding of the type or better, and the product is rounded to a value it has. false if it cannot.
template <class T>
NORMEXP_INLINE bool put_exponential(Lanes* kept, const Exception& other, double factor) {
    char stored[sizeof(T)];
    store_one<T>(stored, other.value);
    const double e = value_at<T>(stored) / factor, size = e < 0 ? -e : e;
    if (!(size > 0x1p-60 && size < 0x1p120)) return false;  // NaN, and where a second word would not be a normal float
    auto* const floats = reinterpret_cast<float*>(kept) + other.place;
    floats[0] = float(e);
    if constexpr (!__is_same(Exp<T>, FloatLanes)) floats[block_size] = float(e - double(floats[0]));
    return true;
}

// Softmax of one block, times `gain`. e: its exponentials, or null; read() gives its logits, if needed. Returns whether the
// exception, if there is one, has been made.
template <bool scaled, class Width, class T, class Read>
NORMEXP_INLINE bool softmax_block(Read read, Place<T> to, std::int64_t count, double base,
                                  const State<Width, double>& state, const Scale& scale, Num<Width, Lanes>* e,
                                  double gain, const Exception& other = Exception{}) {
    const auto factor = times(factor_of<Width, scaled>(base, state, scale), gain);
    if constexpr (__is_same(Width, Single) && !scaled)
        if (is_single<Width, scaled>(base)) {
            const double whole = factor * single_factor(base);
            if (!fits_single<T>(whole))
                return softmax_wide_block<scaled, Width>(read(), to, count, base, factor, scale), false;
            const auto words = factor_words<T>(broadcast<Lanes>(whole));
            if (e) {
                const bool made = other.place >= 0 && put_exponential<T>(e, other, whole);
                map_block(to, count, [&](std::int64_t at, int) NORMEXP_INLINE_LAMBDA {
                    return softmax_of(kept_in_block<T>(e, at), words);
                });
                return made;
            }
            const T* const x = read();
            const SingleBase from = single_base(broadcast<FloatLanes>(base));
            map_block<single_pack>(
                to, count,
                [&](std::int64_t at) NORMEXP_INLINE_LAMBDA {
                    const auto p = exp_of<T>(each<single_pack>([&](int i) NORMEXP_INLINE_LAMBDA {
                                                 return load_floats(x + at + i * lane_count);
                                             }),
                                             from);
                    return each<single_pack>([&](int i)
                                                 NORMEXP_INLINE_LAMBDA { return softmax_of(part(p, i), words); });
                },
                [&](std::int64_t at, int valid) NORMEXP_INLINE_LAMBDA {
                    return softmax_of(exp_of<T>(load_compared_part(x, at, valid), from), words);
                });
            return false;
        }
    if (e)
        map_block(to, count, [&, words = spread(factor)](std::int64_t at, int) NORMEXP_INLINE_LAMBDA {
            return softmax_of(e[at / lane_count], words);
        });
    else
        softmax_wide_block<scaled, Width>(read(), to, count, base, factor, scale);
    return false;
}

template <bool scaled, class Width, class T>
NORMEXP_INLINE void log_softmax_block(const T* x, Place<T> to, std::int64_t count, const State<Width, double>& state,
                                      const Scale& scale) {
    const Lanes max = broadcast<Lanes>(state.max);
    const auto log_sum = spread(log1p<Width>(state.rest));
    map_block(to, count, [&](std::int64_t at, int valid) NORMEXP_INLINE_LAMBDA {
        Lanes logits = load_part(x, at, valid);
        return log_softmax_of(difference<Width, scaled>(logits, max, scale), log_sum);
    });
}

// An infinite or NaN max, or a NaN in the sum.
template <class Width>
NORMEXP_INLINE bool is_bad(const State<Width, double>& state) {
    return !(leading(state.rest) < infinity) || !(state.max < infinity) || !(state.max > -infinity);
}

// Softmax of a row's block, times `gain`, with an exception (its place counted from the row's first element). max: the
// block's; e: its exponentials of fold_block, or null.
template <bool scaled, class T, class Width>
NORMEXP_INLINE void map_softmax(Row<T>& row, std::int64_t block, const State<Width, double>& state, const Scale& scale,
                                double max, Num<Width, Lanes>* e, double gain, Exception other) {
    const double base = base_of<Width, scaled>(max, state.max, scale);
    if (base != max) e = nullptr;
    other.place -= block * block_size;
    if (other.place >= row.count(block)) other.place = -1;
    // Not straight to its place: exponentials kept sixteen by sixteen, which only count from the row's first; and a block
    // with an exception that is not among its exponentials, because to touch what has gone past the caches would fetch it.
    const bool in_words = is_single<Width, scaled>(base);
    const Place<T> to = (e && !in_words) || (!e && other.place >= 0) ? row.buffer() : row.place(block);
    const auto read = [&] { return row.read(block); };
    const bool made = softmax_block<scaled>(read, to, row.count(block), base, state, scale, e, gain, other);
    if (other.place >= 0 && !made) store_one<T>(reinterpret_cast<char*>(to.out + other.place), other.value);
    row.write(block, to);
}

// Maps the row's blocks [first, last). maxima: those of all blocks; kept: the exponentials of the first blocks, or null.
template <bool scaled, class T, class Width = typename Native<T>::Width>
static void map_row(Row<T>& row, std::int64_t first, std::int64_t last, const State<Width, double>& state,
                    const Scale& scale, const double* maxima, Num<Width, Lanes>* kept, double gain = 1.0,
                    const Exception& other = Exception{}) {
    // A bad row is filled, so that even the NaN has the same bits everywhere.
    if (is_bad(state) || !row.any) {
        const double value = row.any ? quiet_nan : row.job.op == Op::softmax ? 0.0 : -infinity;
        for (std::int64_t block = first; block < last; ++block) row.fill(block, value);
        return;
    }
    for (std::int64_t block = first; block < last; ++block) {
        if (row.job.op == Op::log_softmax) {
            const Place<T> to = row.place(block);
            log_softmax_block<scaled>(row.read(block), to, row.count(block), state, scale);
            row.write(block, to);
        } else {
            auto* const e =
                kept && block < Kept<Width>::most_blocks ? kept + block * (block_size / lane_count) : nullptr;
            map_softmax<scaled>(row, block, state, scale, maxima[block], e, gain, other);
        }
    }
}

// Softmax of a row of one block in float arithmetic: its exponentials over their sum, whatever they are measured from.
// false, and nothing written, where another arithmetic is called for.
template <class T>
NORMEXP_INLINE bool softmax_of_one_block(Row<T>& row, Lanes* kept) {
    const std::int64_t count = row.job.length;
    const T* const x = row.read(0);
    const double max = block_max(x, count);
    if (!is_single<Single, false>(max)) return false;
    const Place<T> to = row.place(0);
    const char* const fetched = row.out_contiguous() && !to.stream ? row.out : nullptr;
    const double sum = sum_shares<true>(x, count, max, kept, fetched);
    if (!(sum < infinity)) return false;  // NaN
    const auto words = factor_words<T>(broadcast<Lanes>(1.0 / sum));
    map_block(to, count, [&](std::int64_t at, int) NORMEXP_INLINE_LAMBDA {
        return softmax_of(kept_in_block<T>(kept, at), words);
    });
    row.write(0, to);
    return true;
}

// ---- logsumexp ---------------------------------------------------------------------------------------------------------

template <class Width, class V>
NORMEXP_INLINE V state_value(const State<Width, V>& state) {
    if constexpr (!Width::two_words) {
        return state.max + log1p<Width>(state.rest);
    } else {
        const Two<V> log_sum = log1p<Width>(state.rest);
        const Two<V> sum = two_sum(state.max, log_sum.hi);
        return sum.hi + (sum.lo + log_sum.lo);
    }
}
// max and log(1 + rest) may cancel, and then the error of rest, small beside max, is large beside the result. `margin`
// is the smallest |result| / |max| at which this width's error is still some hundredths of a unit in the last place.
NORMEXP_INLINE bool cancels(double value, double max, double margin) {
    const double size = value < 0 ? -value : value, whole = max < 0 ? -max : max;
    return size < margin * whole;
}
// Single leaves 2^-27.6 in log(1 + rest): beside a result far below 1 that is as much as a unit of float32, or more.
NORMEXP_INLINE bool cancels_single(double value, double max) { return max < 0 && value < 1.0 && value > -1.0; }
// Narrow is good to 2^-33 of max: below 2^-6 it would cost 2^-27, an eighth of a unit of float32. Wide is good to
// 2^-55 of max: at 2^-27 that leaves float32 2^-28, at 1/4 it leaves float64 1.1 units.
constexpr double narrow_margin = 0x1p-6, wide_margin = 0x1p-27, wide_margin_float64 = 0.25;

// Exact is good to 2^-94 of max: at 2^-40 that leaves 2^-54.
constexpr double exact_margin = 0x1p-40;
template <class T>
static double fixed_point_value(Row<T>& row) {
    FixedSum sum;
    for (std::int64_t block = 0; block < block_count(row.job); ++block) {
        const T* x = row.read(block);
        for (std::int64_t i = 0; i < row.count(block); ++i) sum.add(value_at<T>(reinterpret_cast<const char*>(x + i)));
    }
    return sum.log();
}

template <class T>
static double logsumexp_row(Row<T>& row, const State<typename Native<T>::Width, double>& state) {
    using Width = typename Native<T>::Width;
    if (!row.any) return -infinity;
    if (state.max == -infinity || state.max == infinity) {
        if (state.max < 0 && leading(state.rest) == leading(state.rest)) return -infinity;
        return has_nan(row) ? quiet_nan : state.max;
    }
    if (leading(state.rest) != leading(state.rest)) return quiet_nan;
    double value = state_value(state);
    if (!Width::two_words && cancels_single(value, state.max)) value = state_value(reduce_row<Narrow>(row));
    if (!Width::two_words && cancels(value, state.max, narrow_margin)) value = state_value(reduce_row<Wide>(row));
    if (cancels(value, state.max, sizeof(T) == 8 ? wide_margin_float64 : wide_margin))
        value = state_value(reduce_row<Exact>(row));
    if (state.max <= 0 && cancels(value, state.max, exact_margin)) value = fixed_point_value(row);
    return value;
}

NORMEXP_INLINE void store_state(char* out, const State<Wide, double>& state, bool any) {
    double plain[3] = {state.max, state.rest.hi, state.rest.lo};
    if (!any) plain[0] = -infinity, plain[1] = plain[2] = 0.0;
    std::memcpy(out, plain, sizeof plain);
}

}  // namespace normexp::NORMEXP_LEVEL
