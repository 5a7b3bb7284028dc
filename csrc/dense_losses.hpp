// Cross-entropy against a whole row of target probabilities, or a label smoothed into one, and its gradient:
//
//     loss = sum_c a_c (logsumexp - x_c) = mass log(1 + rest) + drop        gradient_i = gain (mass softmax_i - a_i)
//     mass = sum_c a_c    drop = sum_c a_c (max - x_c)    a_c = weight_c ((1 - smoothing) y_c + smoothing / C)
//
// (mass, drop) is a mergeable state like (max, rest): on a larger max, drop grows by mass times the step. The gradient
// may cancel: a network that has learned its smoothed labels has softmax_i near a_i. Sixteen results of which one is small
// beside its a_i are computed again, in the next wider arithmetic.
#pragma once

#include "losses.hpp"

namespace normexp::NORMEXP_LEVEL {

// The arithmetic of a type, and the one behind it. Floats take Narrow here: Single's 2^-27.6 would leave no room to
// cancel.
template <class T>
struct Dense {
    using Width = Narrow;
    using Wider = Wide;
    // |gradient / a_i| from which on it stands: 2^-33 / 2^-7 is a quarter of a unit of float32.
    static constexpr double margin = 0x1p-7;
};
template <>
struct Dense<double> {
    using Width = Wide;
    using Wider = Exact;
    static constexpr double margin = 0.25;  // 2^-57 each in exp and in the sum, over 2^-2: half a unit
};

// a_c, class by class.
template <class Width>
struct Coefficients {
    const Target& target;
    std::int64_t label = no_label;          // or
    const double* probabilities = nullptr;  // of the block
    Num<Width, double> uniform, kept;       // smoothing / C, 1 - smoothing

    Coefficients(const Target& t, std::int64_t classes) : target(t) {
        const double one = 1.0;
        const Two<double> share = times(reciprocal(Two<double>{double(classes), 0.0}), t.smoothing);
        const Two<double> left = two_sum(one, -t.smoothing);
        if constexpr (Width::two_words)
            uniform = share, kept = left;
        else
            uniform = share.hi, kept = left.hi;
    }
    // Of one class (V is double) or sixteen; y: probabilities, or 1 at labels.
    template <class V>
    NORMEXP_INLINE_LAMBDA Num<Width, V> of(V y, V weight) const {
        const auto a = add(same<V>(uniform), times(same<V>(kept), y));
        return target.weight ? times(a, weight) : a;
    }
    // Of the sixteen from `at` in a block that begins with class `first`; those from `valid` on are 0.
    NORMEXP_INLINE_LAMBDA Num<Width, Lanes> of(std::int64_t first, std::int64_t at, int valid) const {
        Lanes y = broadcast<Lanes>(0.0);
        if (probabilities)
            y = load_doubles(probabilities + at);
        else if (label - first - at >= 0 && label - first - at < lane_count)
            y = set_lane(y, int(label - first - at), 1.0);
        const Lanes weight = target.weight ? load_doubles(target.weight + first + at) : y;
        Num<Width, Lanes> a = of(y, weight);
        if (valid < lane_count) a = first_lanes(a, valid);
        return a;
    }

private:
    template <class V>
    NORMEXP_INLINE_LAMBDA static Num<Width, V> same(Num<Width, double> value) {
        if constexpr (__is_same(V, double))
            return value;
        else
            return spread(value);
    }
};

// a (max - x). A class of probability 0 takes nothing, even from an infinite distance.
template <class Width, class V>
NORMEXP_INLINE Num<Width, V> drop_of(Num<Width, V> a, V x, V max) {
    const auto d = minus(difference<Width, false>(x, max, Scale{}));
    const V zero = broadcast<V>(0.0);
    if constexpr (Width::two_words)
        return where_equal(a.hi, zero, number<Num<Width, V>>(0.0), multiply(a, d));
    else
        return where_equal(a, zero, zero, a * d);
}

template <class Width, class V>
struct Mass {
    Num<Width, V> mass, drop;
    V from;  // what drop is measured from
};
NORMEXP_INLINE bool is_infinite(double v) { return v == infinity || v == -infinity; }
// Sums of which one may be infinite (a target of some probability, infinitely far away), and then has no second word.
template <class N>
NORMEXP_INLINE N add_drops(N a, N b) {
    if constexpr (__is_same(decltype(leading(a)), double))
        if (is_infinite(leading(a)) || is_infinite(leading(b))) return number<N>(leading(a) + leading(b));
    return add(a, b);
}
template <class Width, class V>
NORMEXP_INLINE Num<Width, V> drop_from(const Mass<Width, V>& m, V top) {
    return add_drops(m.drop, drop_of<Width>(m.mass, m.from, top));
}
template <class Width, class V>
NORMEXP_INLINE Mass<Width, V> merge(const Mass<Width, V>& a, const Mass<Width, V>& b) {
    const V top = where_greater(b.from, a.from, b.from, a.from);
    return {add(a.mass, b.mass), add_drops(drop_from(a, top), drop_from(b, top)), top};
}

// Target probabilities as doubles: `count` of them, `step` bytes apart.
NORMEXP_INLINE void read_probabilities(TargetType type, const char* from, std::int64_t step, std::int64_t count,
                                       double* to) {
    const auto read = [&]<class T>(T) {
        for (std::int64_t i = 0; i < count; ++i, from += step) to[i] = value_at<T>(from);
    };
    switch (type) {
        case TargetType::float16: return read(Half{});
        case TargetType::bfloat16: return read(BFloat{});
        case TargetType::float32: return read(float{});
        default: return read(double{});
    }
}
// Those of a block, zeros after the last.
template <class T>
static void read_probabilities(const Row<T>& row, std::int64_t block, double* to) {
    const std::int64_t count = row.count(block), step = row.job.row[0].target;
    read_probabilities(row.job.target->type, row.target + block * block_size * step, step, count, to);
    for (std::int64_t i = count; i % lane_count; ++i) to[i] = 0.0;
}

template <class Width, class T>
static Mass<Width, double> mass_of_block(const Row<T>& row, std::int64_t block, const T* x, double from,
                                         const Coefficients<Width>& a) {
    const Lanes top = broadcast<Lanes>(from);
    auto mass = number<Num<Width, Lanes>>(0.0), drop = mass;
    for (std::int64_t at = 0; at < row.count(block); at += lane_count) {
        const int valid = row.count(block) - at < lane_count ? int(row.count(block) - at) : lane_count;
        const auto coefficients = a.of(block * block_size, at, valid);
        mass = accumulate(mass, coefficients);
        drop = accumulate(drop, drop_of<Width>(coefficients, load_part(x, at, valid), top));
    }
    const double whole = sum_lanes(leading(drop));
    if (is_infinite(whole)) return {sum_lanes(mass), number<Num<Width, double>>(whole), from};
    return {sum_lanes(mass), sum_lanes(drop), from};
}

// Both states of a row.
template <class Width>
struct DenseState {
    State<Width, double> state;
    Mass<Width, double> mass;
};
template <class Width, class T>
static DenseState<Width> reduce_dense(Row<T>& row, Coefficients<Width>& a, double* probabilities) {
    DenseState<Width> total;
    const Scale unscaled;
    for (std::int64_t block = 0; block < block_count(row.job); ++block) {
        const T* x = row.read(block);
        Num<Width, Lanes>* const none = nullptr;
        const auto state = fold_block<Width, false, false, false>(x, row.count(block), unscaled, none);
        if (a.probabilities) read_probabilities(row, block, probabilities);
        const auto mass = mass_of_block(row, block, x, state.max == -infinity ? 0.0 : state.max, a);
        total.state = block == 0 ? state : merge<Width, false>(total.state, state, unscaled);
        total.mass = block == 0 ? mass : merge(total.mass, mass);
    }
    return total;
}

template <class Width, class V>
NORMEXP_INLINE V dense_loss(const State<Width, V>& state, const Mass<Width, V>& m) {
    return rounded(add(multiply(m.mass, log1p<Width>(state.rest)), drop_from(m, state.max)));
}
template <class Width>
static double dense_loss(const DenseState<Width>& total) {
    if (is_bad(total.state)) return quiet_nan;
    const double drop = leading(total.mass.drop);
    return is_infinite(drop) ? drop : dense_loss(total.state, total.mass);
}

// mass softmax - a of sixteen classes, and which of them have cancelled. factor: mass / (excess (1 + rest)).
template <class Width, class V>
NORMEXP_INLINE V dense_gradient_of(Num<Width, V> a, V x, V max, Num<Width, V> factor, V gain) {
    const auto e = exp_of_block<Width>(difference<Width, false>(x, max, Scale{}));
    return rounded(times(add(multiply(e, factor), minus(a)), gain));
}
// Whether a lane's result is small beside its a. (Of a NaN, neither is greater.)
NORMEXP_INLINE bool any_cancelled(Lanes result, Lanes a, Lanes gain, double margin) {
    const Lanes limit = a * gain * margin, zero = broadcast<Lanes>(0.0), one = broadcast<Lanes>(1.0);
    const Lanes size = where_greater(zero, result, -result, result);
    return sum_lanes(where_greater(where_greater(zero, limit, -limit, limit), size, one, zero)) > 0;
}
template <class Width, class V>
NORMEXP_INLINE Num<Width, V> dense_factor(const State<Width, V>& state, const Mass<Width, V>& m) {
    return multiply(m.mass, scale_by(reciprocal(add(broadcast<V>(1.0), state.rest)), Width::unscale));
}

template <class T>
struct DenseRow {
    using Width = typename Dense<T>::Width;
    using Wider = typename Dense<T>::Wider;
    Row<T>& row;
    Coefficients<Width> a;
    Coefficients<Wider> wider_a;
    bool wider_known = false;
    Num<Wider, double> wider_factor{};
    alignas(64) double probabilities[block_size];

    explicit DenseRow(Row<T>& r) : row(r), a(*r.job.target, r.job.length), wider_a(*r.job.target, r.job.length) {}

    void handle(LossSum& sum) {
        const Target& target = *row.job.target;
        wider_known = false;
        if (is_probability(target.type)) {
            a.probabilities = wider_a.probabilities = probabilities;
        } else {
            a.label = wider_a.label = label_of(row);
            if (a.label == no_label) return ignore_row(row);
        }
        const auto total = reduce_dense(row, a, probabilities);
        finish_loss(row, dense_loss(total), sum);
        if (!row.job.out) return;
        const std::int64_t blocks = block_count(row.job);
        if (is_bad(total.state)) {
            for (std::int64_t block = 0; block < blocks; ++block) row.fill(block, quiet_nan);
            return;
        }
        // The first block's gradient may take its logits' place before the second block asks for more digits.
        const bool in_place = row.job.out == row.job.x;
        if (in_place && blocks > 1) know_wider();
        const auto factor = spread(dense_factor(total.state, total.mass));
        for (std::int64_t block = 0; block < blocks; ++block) {
            if (blocks > 1 && a.probabilities) read_probabilities(row, block, probabilities);
            const T* x = row.read(block);
            // By sixteens from the row's first, which are computed in one arithmetic together: not as a stream would have it.
            const Place<T> to = in_place || row.job.stream ? row.buffer() : row.place(block);
            for (std::int64_t at = 0; at < row.count(block); at += lane_count)
                store_sixteen(block, at, x, to.out, total.state.max, factor);
            row.write(block, to);
        }
    }

private:
    void store_sixteen(std::int64_t block, std::int64_t at, const T*& x, T* results, double max,
                       const Num<Width, Lanes>& factor) {
        const int valid = row.count(block) - at < lane_count ? int(row.count(block) - at) : lane_count;
        const Lanes gain = broadcast<Lanes>(row.job.target->gain), top = broadcast<Lanes>(max);
        const auto coefficients = a.of(block * block_size, at, valid);
        Lanes result = dense_gradient_of<Width>(coefficients, load_part(x, at, valid), top, factor, gain);
        if (any_cancelled(result, leading(coefficients), gain, Dense<T>::margin)) {
            if (!wider_known) {
                know_wider();
                if (a.probabilities) read_probabilities(row, block, probabilities);
                x = row.read(block);
            }
            result = dense_gradient_of<Wider>(wider_a.of(block * block_size, at, valid), load_part(x, at, valid), top,
                                              spread(wider_factor), gain);
        }
        store_part(results + at, valid, result);
    }
    void know_wider() {
        const auto total = reduce_dense(row, wider_a, probabilities);
        wider_factor = dense_factor(total.state, total.mass);
        wider_known = true;
    }
};

}  // namespace normexp::NORMEXP_LEVEL
