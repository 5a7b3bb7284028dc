// The gradient by the logits, from what softmax or log_softmax gave (y) and the gradient by that (g):
//
//     softmax        dx_i = y_i (g_i - sum_j g_j y_j)                 log_softmax        dx_i = g_i - exp(y_i) sum_j g_j
//
// Both cancel where a row is sure. So everything is measured from the place m of the largest share, whose own part is then
// exactly nothing:
//
//     softmax        dx_i = y_i ((g_i - g_m) s - sum_j (g_j - g_m) y_j)     s = sum_j y_j, which rounding keeps from 1
//     log_softmax    dx_m = -(sum of the others' g) - (exp(y_m) - 1) sum_j g_j
//
// The sums are taken in double for floats, in two words for doubles; lanes and order as in lse.hpp.
#pragma once

#include "rows.hpp"

namespace normexp::NORMEXP_LEVEL {

// One row of y, and of g, a block at a time.
template <class T>
struct BackwardRow {
    Row<T> y;
    bool g_contiguous;
    alignas(64) T g_buffer[block_size];

    explicit BackwardRow(const Job& job)
        : y(job), g_contiguous(job.row_axes == 1 && (job.row[0].target == std::int64_t(sizeof(T)) || job.length == 1)) {
    }

    const T* read_g(std::int64_t block) {
        const std::int64_t first = block * block_size;
        if (g_contiguous) return reinterpret_cast<const T*>(y.target) + first;
        visit(y.job, first, y.count(block), [&](std::int64_t i, const Offsets& at) NORMEXP_INLINE_LAMBDA {
            std::memcpy(&g_buffer[i], y.target + at.target, sizeof(T));
        });
        return g_buffer;
    }
};

// Where the largest share lies: its place in the row, or -1 if there is none (a row of NaN or -inf), and what is there.
struct Largest {
    std::int64_t at = -1;
    double y = -infinity, g = 0.0;
};
template <class T>
static Largest largest_share(BackwardRow<T>& row) {
    Largest found;
    for (std::int64_t block = 0; block < block_count(row.y.job); ++block) {
        const std::int64_t count = row.y.count(block);
        const T* const y = row.y.read(block);
        const double max = block_max(y, count);
        if (!(max > found.y)) continue;
        const std::int64_t at = first_equal(y, count, max);
        found = {block * block_size + at, max, value_at<T>(reinterpret_cast<const char*>(row.read_g(block) + at))};
    }
    return found;
}

// A plain value as a number of one word or two.
template <class Width, class V>
NORMEXP_INLINE Num<Width, V> number_of(V value) {
    if constexpr (Width::two_words)
        return {value, broadcast<V>(0.0)};
    else
        return value;
}

// Two sums over a row, taken together. each(lanes of y, lanes of g) gives what to add; the second leaves one element out.
template <class N>
struct Sums {
    N first, second;
};
template <class N>
NORMEXP_INLINE Sums<N> no_sums() {
    return {number<N>(0.0), number<N>(0.0)};
}
template <class N>
NORMEXP_INLINE void accumulate_to(Sums<N>& sums, const Sums<N>& more) {
    sums = {accumulate(sums.first, more.first), accumulate(sums.second, more.second)};
}
template <class Width, class T, class F>
static Sums<Num<Width, double>> sum_over(BackwardRow<T>& row, std::int64_t left_out, F each) {
    auto total = no_sums<Num<Width, double>>();
    for (std::int64_t block = 0; block < block_count(row.y.job); ++block) {
        const std::int64_t count = row.y.count(block);
        const T *const y = row.y.read(block), *const g = row.read_g(block);
        auto sums = no_sums<Num<Width, Lanes>>();
        for (std::int64_t at = 0; at < count; at += lane_count) {
            const int valid = count - at < lane_count ? int(count - at) : lane_count;
            const std::int64_t skip = left_out - block * block_size - at;
            Sums<Num<Width, Lanes>> more = each(load_part(y, at, valid), load_part(g, at, valid));
            if (skip >= 0 && skip < lane_count) clear_lane(more.second, int(skip));
            if (valid < lane_count) more = {first_lanes(more.first, valid), first_lanes(more.second, valid)};
            accumulate_to(sums, more);
        }
        total = {add(total.first, sum_lanes(sums.first)), add(total.second, sum_lanes(sums.second))};
    }
    return total;
}

// Writes f(lanes of y, lanes of g) over a row.
template <class T, class F>
static void map_over(BackwardRow<T>& row, F f) {
    for (std::int64_t block = 0; block < block_count(row.y.job); ++block) {
        const T *const y = row.y.read(block), *const g = row.read_g(block);
        const Place<T> to = row.y.place(block);
        map_block(to, row.y.count(block), [&](std::int64_t at, int valid) NORMEXP_INLINE_LAMBDA {
            return f(load_part(y, at, valid), load_part(g, at, valid));
        });
        row.y.write(block, to);
    }
}

NORMEXP_INLINE bool is_finite(double value) { return value - value == 0; }

// ---- softmax -----------------------------------------------------------------------------------------------------------

// From the two sums of a row to what each of its elements needs. A row that does not sum to 1, as rounded shares do (of
// bfloat16 each is off by 2^-9 at most), is no softmax: it gets the formula as it stands, sum_j g_j y_j in full.
template <class N>
struct SoftmaxRow {
    N share_sum, pull;  // s, and what is taken off (g_i - g_m) s
};
template <class N, class V>
NORMEXP_INLINE SoftmaxRow<N> softmax_row(const Sums<N>& sums, V g) {
    const N rest = add(broadcast<V>(-1.0), sums.first);
    const V off = leading(rest), far = off * off, limit = broadcast<V>(0x1p-16);
    return {where_greater(far, limit, number<N>(1.0), sums.first),
            where_greater(far, limit, add(sums.second, times(rest, g)), sums.second)};
}
template <class Width, class V>
NORMEXP_INLINE V softmax_backward_of(V y, V g, V from, const SoftmaxRow<Num<Width, V>>& row) {
    const auto moved = multiply(difference<Width, false>(g, from, Scale{}), row.share_sum);
    return rounded(times(add(moved, minus(row.pull)), y));
}

template <class Width>
NORMEXP_INLINE Sums<Num<Width, Lanes>> softmax_terms(Lanes y, Lanes g, Lanes from) {
    return {number_of<Width>(y), times(difference<Width, false>(g, from, Scale{}), y)};
}

template <class Width, class T>
static bool softmax_backward_row(BackwardRow<T>& row) {
    const Largest top = largest_share(row);
    const double from = is_finite(top.g) ? top.g : 0.0;
    const Lanes shift = broadcast<Lanes>(from);
    const auto sums = sum_over<Width>(
        row, -1, [&](Lanes y, Lanes g) NORMEXP_INLINE_LAMBDA { return softmax_terms<Width>(y, g, shift); });
    const auto of_row = softmax_row(sums, from);
    // Second words of what is not finite are NaN: one word serves there.
    if (Width::two_words && !is_finite(rounded(of_row.pull))) return false;
    const SoftmaxRow<Num<Width, Lanes>> lanes{spread(of_row.share_sum), spread(of_row.pull)};
    map_over(row,
             [&](Lanes y, Lanes g) NORMEXP_INLINE_LAMBDA { return softmax_backward_of<Width>(y, g, shift, lanes); });
    return true;
}

// ---- log_softmax -------------------------------------------------------------------------------------------------------

// exp(y) - 1 for y <= 0.
template <class Width>
static Num<Width, double> exp_minus_one(double y) {
    if (y > -0x1p-20) {  // two terms of the series behind y leave 2^-62
        const double behind = y * y * (0.5 + y * (1.0 / 6));
        if constexpr (Width::two_words)
            return fast_two_sum(y, behind);
        else
            return y + behind;
    }
    // What is left of the 1 has lost up to 20 bits: of 57, or of 102 for doubles.
    using More = std::conditional_t<Width::two_words, Exact, Wide>;
    const Two<double> rest = add(-1.0, scale_by(exp<More>(Two<double>{y, 0.0}), More::unscale));
    if constexpr (Width::two_words)
        return rest;
    else
        return rounded(rest);
}

// From 1/2 on, what is left of the largest share's gradient is taken from the others.
constexpr double most_of_a_row = -0.6931471805599453;

template <class Width, class V>
NORMEXP_INLINE V log_softmax_backward_of(V y, V g, Num<Width, V> sum) {
    const auto share = scale_by(exp<Width>(number_of<Width>(y)), Width::unscale);
    return rounded(add(number_of<Width>(g), minus(multiply(share, sum))));
}
template <class Width>
static double log_softmax_backward_at_largest(double y, Num<Width, double> others, Num<Width, double> sum) {
    return -rounded(add(others, multiply(exp_minus_one<Width>(y), sum)));
}

template <class Width, class T>
static bool log_softmax_backward_row(BackwardRow<T>& row) {
    const Largest top = largest_share(row);
    const bool sure = top.y > most_of_a_row && top.y <= 0;
    const auto sums = sum_over<Width>(row, sure ? top.at : -1, [&](Lanes, Lanes g) NORMEXP_INLINE_LAMBDA {
        return Sums<Num<Width, Lanes>>{number<Num<Width, Lanes>>(0.0), number_of<Width>(g)};
    });
    const auto others = sums.second;
    const auto sum = sure ? add(top.g, others) : others;
    if (Width::two_words && !is_finite(rounded(sum))) return false;
    const auto lanes = spread(sum);
    map_over(row, [&](Lanes y, Lanes g) NORMEXP_INLINE_LAMBDA { return log_softmax_backward_of<Width>(y, g, lanes); });
    if (sure)
        store_one<T>(row.y.out + top.at * row.y.job.row[0].out,
                     log_softmax_backward_at_largest<Width>(top.y, others, sum));
    return true;
}

template <class Width, class T>
static bool backward_row(BackwardRow<T>& row) {
    return row.y.job.op == Op::softmax_backward ? softmax_backward_row<Width>(row)
                                                : log_softmax_backward_row<Width>(row);
}

// ---- sixteen rows side by side, one a lane, with the same bits -----------------------------------------------------------

template <class T, class Width = typename Native<T>::Width>
class BackwardAcross {
public:
    explicit BackwardAcross(const Job& job) : job_(job) {}

    // False where one of the rows is not finite in two words: they are then taken one by one.
    bool handle(std::int64_t row) {
        at_ = row_offsets(job_, row);
        Lanes place = broadcast<Lanes>(-1.0), best = broadcast<Lanes>(-infinity), g_there = broadcast<Lanes>(0.0);
        for (std::int64_t i = 0; i < job_.length; ++i) {
            const Lanes y = y_at(i);
            place = where_greater(y, best, broadcast<Lanes>(double(i)), place);
            g_there = where_greater(y, best, g_at(i), g_there);
            best = where_greater(y, best, y, best);
        }
        return job_.op == Op::softmax_backward ? softmax(g_there) : log_softmax(place, best, g_there);
    }

private:
    using N = Num<Width, Lanes>;
    Lanes y_at(std::int64_t i) const { return load(reinterpret_cast<const T*>(job_.x + at_.x + i * job_.row[0].x)); }
    Lanes g_at(std::int64_t i) const {
        return load(reinterpret_cast<const T*>(job_.target->data + at_.target + i * job_.row[0].target));
    }
    T* out_at(std::int64_t i) const { return reinterpret_cast<T*>(job_.out + at_.out + i * job_.row[0].out); }

    template <class F>
    Sums<N> sum(F each) const {
        auto total = no_sums<N>();
        for (std::int64_t first = 0; first < job_.length; first += block_size) {
            Sums<N> partial[lane_count];
            for (auto& sums : partial) sums = no_sums<N>();
            const std::int64_t last = first + block_size < job_.length ? first + block_size : job_.length;
            for (std::int64_t i = first; i < last; ++i) accumulate_to(partial[i % lane_count], each(i));
            N first_sums[lane_count], second_sums[lane_count];
            for (int i = 0; i < lane_count; ++i) first_sums[i] = partial[i].first, second_sums[i] = partial[i].second;
            total = {add(total.first, tree_sum(first_sums)), add(total.second, tree_sum(second_sums))};
        }
        return total;
    }
    static bool all_finite(Lanes v) {
        const Lanes zero = v - v;
        return sum_lanes(zero) == 0;
    }

    bool softmax(Lanes g_there) const {
        const Lanes zero = broadcast<Lanes>(0.0);
        const Lanes from = where_equal(g_there - g_there, zero, g_there, zero);
        const auto sums =
            sum([&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return softmax_terms<Width>(y_at(i), g_at(i), from); });
        const auto of_row = softmax_row(sums, from);
        if (Width::two_words && !all_finite(rounded(of_row.pull))) return false;
        for (std::int64_t i = 0; i < job_.length; ++i)
            store(out_at(i), softmax_backward_of<Width>(y_at(i), g_at(i), from, of_row));
        return true;
    }

    bool log_softmax(Lanes place, Lanes best, Lanes g_there) const {
        const Lanes zero = broadcast<Lanes>(0.0), one = broadcast<Lanes>(1.0);
        const Lanes sure =
            where_greater(best, broadcast<Lanes>(most_of_a_row), where_greater(best, zero, zero, one), zero);
        const Lanes left_out = where_equal(sure, one, place, broadcast<Lanes>(-1.0));
        const N others = sum([&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
                             const Lanes kept = where_equal(left_out, broadcast<Lanes>(double(i)), zero, g_at(i));
                             return Sums<N>{number<N>(0.0), number_of<Width>(kept)};
                         }).second;
        const N all = where_equal(sure, one, add(g_there, others), others);
        if (Width::two_words && !all_finite(rounded(all))) return false;
        for (std::int64_t i = 0; i < job_.length; ++i)
            store(out_at(i), log_softmax_backward_of<Width>(y_at(i), g_at(i), all));
        double places[lane_count], tops[lane_count];
        store_doubles(places, left_out), store_doubles(tops, best);
        for (int lane = 0; lane < lane_count; ++lane) {
            if (places[lane] < 0) continue;
            store_one<T>(reinterpret_cast<char*>(out_at(std::int64_t(places[lane])) + lane),
                         log_softmax_backward_at_largest<Width>(tops[lane], lane_of(others, lane), lane_of(all, lane)));
        }
        return true;
    }
    static double lane_of(Lanes v, int lane) {
        double lanes[lane_count];
        store_doubles(lanes, v);
        return lanes[lane];
    }
    static Two<double> lane_of(Two<Lanes> v, int lane) { return {lane_of(v.hi, lane), lane_of(v.lo, lane)}; }

    const Job& job_;
    Offsets at_{};
};

}  // namespace normexp::NORMEXP_LEVEL
