// Cross-entropy at a label, and its gradient, of logits that a matrix product has rounded to bfloat16:
//
//     x_i = h . w_i + b_i, known to 8 bits                loss and gradient as in losses.hpp
//
// Computing them again in float32 would be another product. But a row's loss hears little of most of its logits: the error
// of sum_i e_i, e_i = exp(x_i - max), is that of x_i times e_i, and errors of many small terms cancel. So the logits that
// matter are computed again, in floats, and no others: the label's, and those whose e_i is more than `share` of the sum of
// all but the largest. These are 1 / share + 2 at most, and few in a row of many small terms, where none matters. Those left
// have squares that add up to share * rest^2 or less: what is left of the error of a logit in that of the sum is its
// 32nd part.
#pragma once

#include "losses.hpp"

namespace normexp::NORMEXP_LEVEL {

constexpr double share = 0x1p-10;
constexpr int most_chosen = 1024 + 16;  // one-word exponentials add up to their sum to 2^-20: a few more at most

// One row's logits that matter, first the label's.
struct Chosen {
    int count = 0;
    std::int64_t place[most_chosen];
    double rounded[most_chosen], logit[most_chosen];

    void add(std::int64_t at, double x) {
        if (count < most_chosen) place[count] = at, rounded[count] = x, ++count;
    }
};

template <class T>
static void choose(const Row<T>& row, std::int64_t label, const State<Single, double>& state, const double* maxima,
                   Chosen& chosen) {
    chosen.count = 0;
    chosen.add(label, logit_at(row, label));
    // Where all others are nothing beside the largest, it is alone here, too.
    const double bound = state.rest > 0.0 ? state.max + __builtin_log(share * state.rest) : state.max;
    const FloatLanes limit = broadcast<FloatLanes>(bound), one = broadcast<FloatLanes>(1.0),
                     zero = broadcast<FloatLanes>(0.0);
    const T* const x = reinterpret_cast<const T*>(row.x);
    for (std::int64_t block = 0; block < block_count(row.job); ++block) {
        if (maxima[block] < bound) continue;
        const std::int64_t first = block * block_size, last = first + row.count(block);
        for (std::int64_t at = first; at < last; at += lane_count) {
            const int valid = last - at < lane_count ? int(last - at) : lane_count;
            // NaN is not in a row that comes here.
            const FloatLanes below = where_greater(limit, load_compared_part(x, at, valid), one, zero);
            unsigned bits = equal_lanes(below, 0.0) & ((1u << valid) - 1);
            for (; bits; bits &= bits - 1) {
                const std::int64_t i = at + __builtin_ctz(bits);
                if (i != label) chosen.add(i, value_at<T>(reinterpret_cast<const char*>(x + i)));
            }
        }
    }
}

// h . w: products of two bfloat16 are exact in a float.
NORMEXP_INLINE double dot(const BFloat* h, const BFloat* w, std::int64_t count) {
    const FloatLanes zero = broadcast<FloatLanes>(0.0);
    FloatLanes sum[4] = {zero, zero, zero, zero};
    std::int64_t at = 0;
    for (; at + 4 * lane_count <= count; at += 4 * lane_count)
        for (int k = 0; k < 4; ++k)
            sum[k] = fma(load_floats(h + at + k * lane_count), load_floats(w + at + k * lane_count), sum[k]);
    for (; at + lane_count <= count; at += lane_count) sum[0] = fma(load_floats(h + at), load_floats(w + at), sum[0]);
    if (at < count) {
        const int valid = int(count - at);
        sum[1] =
            fma(load_compared_first(h + at, valid, BFloat{0}), load_compared_first(w + at, valid, BFloat{0}), sum[1]);
    }
    return sum_lanes(widen(sum[0])) + sum_lanes(widen(sum[1])) + sum_lanes(widen(sum[2])) + sum_lanes(widen(sum[3]));
}

static void recompute(const Product& product, std::int64_t index, Chosen& chosen) {
    const auto row_of = [](const char* data, std::int64_t stride, std::int64_t i) {
        return reinterpret_cast<const BFloat*>(data + i * stride);
    };
    const BFloat* const h = row_of(product.hidden, product.hidden_stride, index);
    for (int k = 0; k < chosen.count; ++k) {
        if (k + 1 < chosen.count) {  // weights of another class lie far away: their first lines, the rest follows
            const char* const next = product.weight + chosen.place[k + 1] * product.weight_stride;
            for (int line = 0; line < 4; ++line) __builtin_prefetch(next + 64 * line);
        }
        const std::int64_t i = chosen.place[k];
        const double bias = product.bias ? value_at<BFloat>(product.bias + i * product.bias_stride) : 0.0;
        chosen.logit[k] = dot(h, row_of(product.weight, product.weight_stride, i), product.features) + bias;
    }
}

// The state of the row with the chosen logits in the place of the rounded ones.
static State<Single, double> corrected(const State<Single, double>& state, const Chosen& chosen) {
    // What is left of the sum, but for one term of the largest rounded logit.
    double left = state.rest, top = -infinity;
    int of_top = -1;
    bool has_largest = true;  // the largest rounded logit is left
    for (int k = 0; k < chosen.count; ++k) {
        if (chosen.logit[k] > top) top = chosen.logit[k], of_top = k;
        if (has_largest && chosen.rounded[k] == state.max)
            has_largest = false;
        else
            left -= exp<Single>(chosen.rounded[k] - state.max) * Single::unscale;
    }
    left = left > 0.0 ? left : 0.0;
    if (has_largest && state.max >= top) top = state.max, of_top = -1;
    const auto beside = [&](double x) { return exp<Single>(x - top) * Single::unscale; };
    double rest = (left + (has_largest && of_top >= 0 ? 1.0 : 0.0)) * beside(state.max);
    for (int k = 0; k < chosen.count; ++k)
        if (k != of_top) rest += beside(chosen.logit[k]);
    return {top, rest};
}

static void product_row(Row<BFloat>& row, const Product& product, Kept<Single>& kept, Chosen& chosen, LossSum& sum) {
    const std::int64_t label = label_of(row);
    const auto give = [&](double loss) {
        const float value = float(loss);
        if (row.value) std::memcpy(row.value, &value, sizeof value);
    };
    if (label == no_label) {
        give(0.0);
        if (row.job.out)
            for (std::int64_t block = 0; block < block_count(row.job); ++block) row.fill(block, 0.0);
        return;
    }
    auto state = row.job.out ? reduce_row<Single, false, true, false>(row, Scale{}, &kept)
                             : reduce_row<Single, false, false, false>(row, Scale{}, &kept);
    if (is_bad(state)) {
        chosen.count = 0;
        chosen.add(label, logit_at(row, label));
        chosen.logit[0] = chosen.rounded[0];
    } else {
        choose(row, label, state, kept.maxima, chosen);
        recompute(product, row.index, chosen);
        state = corrected(state, chosen);
    }
    const double x = chosen.logit[0], loss = labelled_loss(row, label, x, state);
    give(loss), sum.add(row.index, loss);
    if (!row.job.out) return;
    const double upstream = product.upstream ? double(product.upstream[row.index]) : 1.0;
    const double gain = row.job.target->gain * weight_of(row, label) * upstream;
    const Exception at_label{label, is_bad(state) ? quiet_nan : gradient_at(x, state, gain)};
    map_row<false>(row, 0, block_count(row.job), state, Scale{}, kept.maxima, kept.exponentials, gain, at_label);
    if (is_bad(state)) return;
    const double inverse = gain / (1.0 + state.rest);
    for (int k = 1; k < chosen.count; ++k)
        store_one<BFloat>(row.out + chosen.place[k] * row.job.row[0].out,
                          exp<Single>(chosen.logit[k] - state.max) * Single::unscale * inverse);
}

}  // namespace normexp::NORMEXP_LEVEL
