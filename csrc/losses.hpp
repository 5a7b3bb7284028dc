// Cross-entropy at a label, and its gradient, of one row:
//
//     loss = w (log(1 + rest) + (max - x_t))        gradient_i = gain w softmax_i, and at the label - gain w (S - e_t) / S
//
// Neither term of the loss is negative, so nothing cancels, however small it is. Nor does softmax_t - 1 at the label: the
// sum of the others is at hand. The label's logit apart, all is the reduce and the map of softmax.
#pragma once

#include "labels.hpp"
#include "rows.hpp"

namespace normexp::NORMEXP_LEVEL {

// Of one row (V is double), or of sixteen (Lanes).
template <class Width, class V>
NORMEXP_INLINE V loss_at(V x, const State<Width, V>& state) {
    return -log_softmax_of(difference<Width, false>(x, state.max, Scale{}), log1p<Width>(state.rest));
}
template <class Width, class V>
NORMEXP_INLINE V gradient_at(V x, const State<Width, V>& state, V gain) {
    const V one = broadcast<V>(1.0);
    const auto e = scale_by(exp<Width>(difference<Width, false>(x, state.max, Scale{})), Width::unscale);
    // The sum of all but the label's term: `rest` itself if that is the largest, which rest leaves out.
    const auto others = where_equal(x, state.max, state.rest, add(one, add(state.rest, minus(e))));
    return -rounded(times(multiply(others, reciprocal(add(one, state.rest))), gain));
}

// A sum of losses: sixteen sums, row i in sum i mod 16, so that sixteen rows are added in one go. Beyond the finite numbers
// the second word is NaN, and is passed over at the end.
struct LossSum {
    double hi[lane_count] = {}, lo[lane_count] = {};

    void add(std::int64_t row, double loss) {
        const int lane = int(row % lane_count);
        const Two<double> sum = accumulate(Two<double>{hi[lane], lo[lane]}, {loss, 0.0});
        hi[lane] = sum.hi, lo[lane] = sum.lo;
    }
    // Those of sixteen rows.
    void add(std::int64_t first_row, Lanes losses) {
        double twice[2 * lane_count];  // turned round so that each meets its sum
        store_doubles(twice, losses), store_doubles(twice + lane_count, losses);
        losses = load_doubles(twice + lane_count - first_row % lane_count);
        const Two<Lanes> sum = accumulate(lanes(), {losses, broadcast<Lanes>(0.0)});
        store_doubles(hi, sum.hi), store_doubles(lo, sum.lo);
    }
    PlainSum value() const {
        Two<double> sum{0.0, 0.0};
        for (int lane = 0; lane < lane_count; ++lane) sum = accumulate(sum, {hi[lane], lo[lane]});
        return {sum.hi, sum.lo};
    }

private:
    Two<Lanes> lanes() const { return {load_doubles(hi), load_doubles(lo)}; }
};

template <class T>
NORMEXP_INLINE double weight_of(const Row<T>& row, std::int64_t label) {
    const Target& target = *row.job.target;
    return target.weight ? target.weight[label] : 1.0;
}
template <class T>
NORMEXP_INLINE std::int64_t label_of(const Row<T>& row) {
    return kept_label(*row.job.target, row.target, row.job.length);
}
template <class T>
NORMEXP_INLINE double logit_at(const Row<T>& row, std::int64_t label) {
    return value_at<T>(row.x + label * row.job.row[0].x);
}

// What comes of a row that counts for nothing.
template <class T>
static void ignore_row(Row<T>& row) {
    if (row.value) store_one<T>(row.value, 0.0);
    if (row.job.out)
        for (std::int64_t block = 0; block < block_count(row.job); ++block) row.fill(block, 0.0);
}

template <class T>
static void finish_loss(Row<T>& row, double loss, LossSum& sum) {
    if (row.value) store_one<T>(row.value, loss);
    sum.add(row.index, loss);
}

template <class T>
static void nll_row(Row<T>& row, LossSum& sum) {
    const std::int64_t label = label_of(row);
    if (label == no_label) return ignore_row(row);
    finish_loss(row, -weight_of(row, label) * logit_at(row, label), sum);
}

// What the state of a row comes to; x: the logit at the label.
template <class T, class Width = typename Native<T>::Width>
static double labelled_loss(const Row<T>& row, std::int64_t label, double x, const State<Width, double>& state) {
    return is_bad(state) ? quiet_nan : weight_of(row, label) * loss_at(x, state);
}
template <class T, class Width = typename Native<T>::Width>
static void write_gradient(Row<T>& row, std::int64_t label, double x, const State<Width, double>& state,
                           const double* maxima, Num<Width, Lanes>* kept) {
    const double gain = row.job.target->gain * weight_of(row, label);
    const Exception at_label{label, is_bad(state) ? quiet_nan : gradient_at(x, state, gain)};
    map_row<false>(row, 0, block_count(row.job), state, Scale{}, maxima, kept, gain, at_label);
}
// Alone, where the rest has been written by several threads.
template <class T, class Width = typename Native<T>::Width>
static void write_gradient_at(const Row<T>& row, std::int64_t label, double x, const State<Width, double>& state) {
    if (is_bad(state)) return;  // the whole row is NaN
    store_one<T>(row.out + label * row.job.row[0].out,
                 gradient_at(x, state, row.job.target->gain * weight_of(row, label)));
}

template <class T, class Width = typename Native<T>::Width>
static void labelled_row(Row<T>& row, Kept<Width>& kept, LossSum& sum) {
    const std::int64_t label = label_of(row);
    if (label == no_label) return ignore_row(row);
    const double x = logit_at(row, label);  // before the gradient may take its place
    const Scale unscaled;
    const auto state = row.job.out ? reduce_row<Width, false, true, false>(row, unscaled, &kept)
                                   : reduce_row<Width, false, false, false>(row, unscaled, &kept);
    finish_loss(row, labelled_loss(row, label, x, state), sum);
    if (!row.job.out) return;
    write_gradient(row, label, x, state, kept.maxima, kept.exponentials);
}

}  // namespace normexp::NORMEXP_LEVEL
