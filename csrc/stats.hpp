// What evaluation, distillation and reinforcement learning ask of a row of logits, in one pass over it: (max, rest) grows
// by a third component,
//
//     pull = sum of exp(x - max) (max - x)        entropy = log(1 + rest) + pull / (1 + rest)
//
// which no term of makes smaller. On a larger max, further by d, a state's pull becomes exp(-d) (pull + (1 + rest) d).
#pragma once

#include "losses.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class Width>
struct StatsState {
    State<Width, double> state;
    Num<Width, double> pull;
};

// exp(d) d, where the former is not 0 for the latter's being infinite.
template <class N>
NORMEXP_INLINE N pull_of(N e, N d) {
    const auto zero = number<decltype(leading(e))>(0.0);
    return where_equal(leading(e), zero, number<N>(0.0), multiply(e, minus(d)));
}

template <class Width>
static StatsState<Width> merge(const StatsState<Width>& a, const StatsState<Width>& b) {
    const Scale unscaled;
    const bool b_on_top = b.state.max > a.state.max;
    const StatsState<Width>&top = b_on_top ? b : a, &bottom = b_on_top ? a : b;
    const auto state = merge<Width, false>(a.state, b.state, unscaled);
    if (bottom.state.max == -infinity) return {state, top.pull};
    if (bottom.state.max == top.state.max) return {state, add(top.pull, bottom.pull)};  // two +inf among them
    const auto d = difference<Width, false>(bottom.state.max, top.state.max, unscaled);
    const auto e = scale_by(exp<Width>(d), Width::unscale);
    const auto all = add(1.0, bottom.state.rest);
    return {state, add(top.pull, add(multiply(e, bottom.pull), multiply(all, pull_of(e, d))))};
}

NORMEXP_INLINE Lanes whole_of(FloatLanes e) { return widen(e); }
NORMEXP_INLINE Lanes whole_of(Two<FloatLanes> e) { return widen(e.hi) + widen(e.lo); }

// As fold_block() in lse.hpp, whose max and rest these are to the bit.
template <class Width, class T>
static StatsState<Width> fold_stats(const T* x, std::int64_t count) {
    const auto none = number<Num<Width, double>>(0.0);
    const double max = block_max(x, count);
    if (max == infinity) return {{max, number<Num<Width, double>>(quiet_nan)}, none};
    const double from = max == -infinity ? 0.0 : max;
    const std::int64_t skipped = first_equal(x, count, max);
    const Lanes shift = broadcast<Lanes>(from);
    const auto load_valid = [&](std::int64_t at, int valid) NORMEXP_INLINE_LAMBDA {
        return valid == lane_count ? load_compared(x + at) : load_compared_first(x + at, valid, x[0]);
    };
    if constexpr (__is_same(Width, Single))
        if (is_single<Width, false>(from)) {
            const SingleBase base = single_base(broadcast<FloatLanes>(from));
            const double factor = single_factor(from);
            Lanes sum = broadcast<Lanes>(0.0), pull = sum;
            FloatLanes low = broadcast<FloatLanes>(0.0);
            const auto part = [&](std::int64_t at, int left_out, int valid) NORMEXP_INLINE_LAMBDA {
                // Further away than this exp is cut off, and the distance with it: the product is nothing either way.
                const FloatLanes v = at_least(load_valid(at, valid), base.lowest);
                Exp<T> e = exp_of<T>(v, base);
                if (left_out < lane_count) clear_lane(e, left_out);
                if (valid < lane_count) e = first_lanes(e, valid);
                sum = sum + widen(first_word(e));
                low = add_second_word(low, e);
                pull = fma(whole_of(e), shift - widen(v), pull);
            };
            const auto whole = [&](std::int64_t at) NORMEXP_INLINE_LAMBDA { part(at, lane_count, lane_count); };
            visit_sixteens<lane_count>(count, skipped, whole, whole, part);
            return {{max, single_rest(sum_lanes(sum, low), factor)}, single_rest(sum_lanes(pull), factor)};
        }
    auto sum = number<Num<Width, Lanes>>(0.0), pull = sum;
    const auto part = [&](std::int64_t at, int left_out, int valid) NORMEXP_INLINE_LAMBDA {
        const auto d = difference<Width, false>(widen(load_valid(at, valid)), shift, Scale{});
        auto e = exp_of_block<Width>(d);
        if (left_out < lane_count) clear_lane(e, left_out);
        if (valid < lane_count) e = first_lanes(e, valid);
        sum = accumulate(sum, e);
        pull = accumulate(pull, pull_of(e, d));
    };
    const auto whole = [&](std::int64_t at) NORMEXP_INLINE_LAMBDA { part(at, lane_count, lane_count); };
    visit_sixteens<lane_count>(count, skipped, whole, whole, part);
    return {{max, scale_by(sum_lanes(sum), Width::unscale)}, scale_by(sum_lanes(pull), Width::unscale)};
}

// How many of x[0 .. count) come before a logit `than` in a stable descending sort, if they stand before it (or equal
// ones count) or behind it.
template <class T>
NORMEXP_INLINE std::int64_t count_before(const T* x, std::int64_t count, double than, bool equal_count) {
    using L = typename Compared<T>::Type;
    const L limit = broadcast<L>(than), zero = broadcast<L>(0.0), one = broadcast<L>(1.0);
    L found = zero;  // at most block_size / lane_count a lane: exact
    for (std::int64_t at = 0; at < count; at += lane_count) {
        const int valid = count - at < lane_count ? int(count - at) : lane_count;
        const L v = valid == lane_count ? load_compared(x + at) : load_compared_first(x + at, valid, x[0]);
        L counts = where_greater(v, limit, one, zero);
        if (equal_count) counts = where_equal(v, limit, one, counts);
        if (valid < lane_count) counts = first_lanes(counts, valid);
        found = found + counts;
    }
    return std::int64_t(sum_lanes(widen(found)));
}

template <class T, class Width = typename Native<T>::Width>
static void stats_row(Row<T>& row, std::int64_t index) {
    const Job& job = row.job;
    const Stats& stats = *job.stats;
    const std::int64_t label = job.target ? label_of(row) : no_label;
    const double x = label == no_label ? 0.0 : logit_at(row, label);
    StatsState<Width> total{};
    std::int64_t argmax = 0, rank = 0;
    for (std::int64_t block = 0; block < block_count(job); ++block) {
        const T* const logits = row.read(block);
        const std::int64_t first = block * block_size, count = row.count(block);
        const auto next = fold_stats<Width>(logits, count);
        if (block == 0 || next.state.max > total.state.max)
            argmax = first + first_equal(logits, count, next.state.max) % count;
        total = block == 0 ? next : merge(total, next);
        if (label == no_label) continue;
        const std::int64_t before = label < first ? 0 : label - first < count ? label - first : count;
        if (before > 0) rank += count_before(logits, before, x, true);
        if (before < count) rank += count_before(logits + before, count - before, x, false);
    }
    const State<Width, double>& state = total.state;
    double max = state.max, entropy = quiet_nan, log_prob = quiet_nan;
    const bool bad = is_bad(state);
    if (!bad) {
        const auto share = multiply(total.pull, reciprocal(add(1.0, state.rest)));
        entropy = rounded(add(log1p<Width>(state.rest), share));
        if (label != no_label) log_prob = -loss_at(x, state);
    } else if (const std::int64_t nan = first_nan(row); nan < job.length) {
        argmax = nan, rank = job.length, max = quiet_nan;
    }
    constexpr std::int64_t item = sizeof(T);
    store_one<T>(stats.logsumexp + index * item, logsumexp_row(row, state));
    store_one<T>(stats.max + index * item, max);
    store_one<T>(stats.entropy + index * item, entropy);
    stats.argmax[index] = argmax;
    if (!job.target) return;
    store_one<T>(stats.log_prob + index * item, log_prob);
    stats.rank[index] = rank;
}

}  // namespace normexp::NORMEXP_LEVEL
