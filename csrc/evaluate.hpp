// What an evaluation asks of rows of logits with labels: the loss, the entropy, whether the label is on top or among the
// top five, the confidence (max_i p_i), the Brier score (sum_i (p_i - [i = label])^2); and, to find the temperature that
// fits best, the loss near a temperature 1 / b. With d_i = x_i - max and z_i = b d_i,
//
//     log S = log sum_i exp(z_i)        k_n, the n-th cumulant of z under exp(z) / S
//
// give a row's loss at b (1 + e) for small e: log S + k_1 e + k_2 e^2 / 2 + k_3 e^3 / 6 + ... - b (1 + e) d_label.
//
// These are figures to be averaged and printed, so float arithmetic does, with two exponentials an element. Near zero
// too, loss, entropy and log S are right to some 2^-20 of themselves: the largest term is left out of the sums, as in
// lse.hpp, and no term is negative.
#pragma once

#include "across_losses.hpp"
#include "stats.hpp"

namespace normexp::NORMEXP_LEVEL {

// 2^d is 2^n, n = round(d), times a polynomial: (2^r - 1) / r on |r| <= 1/2 (tools/minimax.py). Error 2^-23.4;
// 2^-23.2 with the coefficients as floats.
constexpr double rough_coefficients[] = {0x1.62e4291e2202ep-1, 0x1.ebf9bb1b25466p-3, 0x1.c6b75440aebdap-5,
                                         0x1.3ceab4e885a4bp-7, 0x1.5bb9e4dca1d0ap-10};
// Adding it rounds to an integer n and leaves n + 127 in the low bits.
constexpr double rough_rounder = 0x1.8p23 + 127;
// Lower exponents are taken for this: 2^-125 is nothing beside the largest term, 1, and still a normal number.
constexpr double rough_lowest = -125.0;
// A sum of 2^26 of those: smaller ones are called 0.
constexpr double rough_nothing = 0x1p-99;

// 2^d for d from rough_lowest to 0.
template <int K>
NORMEXP_INLINE Pack<K> exp2_rough(Pack<K> d) {
    const auto number = [](double value) NORMEXP_INLINE_LAMBDA { return broadcast<FloatLanes>(value); };
    const auto c = [&](int k) NORMEXP_INLINE_LAMBDA { return number(rough_coefficients[k - 1]); };
#define NORMEXP_STEP(expression) each<K>([&](int i) NORMEXP_INLINE_LAMBDA { return expression; })
    const auto shifted = NORMEXP_STEP(d.of[i] + number(rough_rounder));
    const auto r = NORMEXP_STEP(d.of[i] - (shifted.of[i] - number(rough_rounder)));  // exact
    auto q = NORMEXP_STEP(fma(c(5), r.of[i], c(4)));
#pragma GCC unroll 4
    for (int k = 3; k > 0; --k) q = NORMEXP_STEP(fma(q.of[i], r.of[i], c(k)));
    const auto power = NORMEXP_STEP(exponent_from_low_bits(shifted.of[i]));
    const auto slope = NORMEXP_STEP(power.of[i] * r.of[i]);
    return NORMEXP_STEP(fma(q.of[i], slope.of[i], power.of[i]));
#undef NORMEXP_STEP
}

// Sums over the elements of a row but its largest: of y = exp(d), y^2, y d; of w = exp(z), w z, w z^2, ... Here d and z
// are in units of ln 2.
struct Terms {
    static constexpr int count = 4 + evaluation_orders;
    FloatLanes y, square, pull, w, moment[evaluation_orders];

    template <class F>
    NORMEXP_INLINE_LAMBDA void each(F f) const {
        f(0, y), f(1, square), f(2, pull), f(3, w);
#pragma GCC unroll 8
        for (int n = 0; n < evaluation_orders; ++n) f(4 + n, moment[n]);
    }

    // Sixteen elements at distance d from the largest; scale: log2(e) b. keep(v) clears lanes that do not count.
    template <class Keep>
    NORMEXP_INLINE_LAMBDA void add(FloatLanes d, FloatLanes scale, Keep keep) {
        static_assert(evaluation_orders == 6);
        const FloatLanes lowest = broadcast<FloatLanes>(rough_lowest);
        const FloatLanes d1 = at_least(d * broadcast<FloatLanes>(log2_e), lowest), z = at_least(d * scale, lowest);
        const auto e = exp2_rough(Pack<2>{d1, z});
        const FloatLanes e1 = keep(e.of[0]), eb = keep(e.of[1]), z2 = z * z, w2 = eb * z2, w4 = w2 * z2;
        y = y + e1, square = fma(e1, e1, square), pull = fma(e1, d1, pull);
        w = w + eb, moment[0] = fma(eb, z, moment[0]), moment[1] = moment[1] + w2;
        moment[2] = fma(w2, z, moment[2]), moment[3] = moment[3] + w4;
        moment[4] = fma(w4, z, moment[4]), moment[5] = fma(w4, z2, moment[5]);
    }
};

// Between lanes of floats and of doubles, or not at all.
template <class L>
NORMEXP_INLINE L as_lanes(FloatLanes v) {
    if constexpr (__is_same(L, Lanes))
        return widen(v);
    else
        return v;
}
template <class L>
NORMEXP_INLINE L as_lanes(Lanes v) {
    if constexpr (__is_same(L, Lanes))
        return v;
    else
        return narrow(v);
}

// Sixteen rows, a row a lane, and the sums over all sixteens so far.
class EvaluatedRows {
public:
    int filled = 0;
    std::int64_t index[lane_count];
    alignas(64) double max[lane_count], at_label[lane_count], rank[lane_count], terms[Terms::count][lane_count];

    explicit EvaluatedRows(Evaluation& total) : total_(total) {}

    void finish() {
        if (!filled) return;
        const Lanes zero = broadcast<Lanes>(0.0), one = broadcast<Lanes>(1.0);
        const auto loaded = [&](const double* from)
                                NORMEXP_INLINE_LAMBDA { return first_lanes(load_doubles(from), filled); };
        const Lanes top = loaded(max), label_distance = loaded(at_label) - top, place = loaded(rank);
        const auto loaded_rest = [&](const double* from) NORMEXP_INLINE_LAMBDA {
            const Lanes v = loaded(from);
            return where_greater(v, broadcast<Lanes>(rough_nothing), v, zero);
        };
        const Lanes rest = loaded_rest(terms[0]), square = loaded(terms[1]), all_pull = loaded(terms[2]);
        const Lanes pull = where_equal(rest, zero, zero, all_pull * ln2);
        const Lanes sum = one + rest, confidence = one / sum, log_sum = log1p<Narrow>(rest);
        const Lanes counts = first_lanes(one, filled), right = where_equal(place, zero, counts, zero);
        const Lanes entropy = log_sum - pull * confidence;
        add(sums_.rows, counts), add(sums_.top1, right);
        add(sums_.top5, where_greater(broadcast<Lanes>(5.0), place, counts, zero));
        add(sums_.loss, log_sum - label_distance), add(sums_.entropy, entropy);
        // (sum_i y_i^2 - 2 y_t S + S^2) / S^2 where the sums are 1 + square and S = 1 + rest, and y_t = 1 - u.
        const Lanes u = one - exp<Narrow>(label_distance);
        add(sums_.brier, fma(u * 2.0, sum, fma(rest, rest, square)) * (confidence * confidence));

        const Lanes rest_at_b = loaded_rest(terms[3]);
        add(sums_.log_sum, log1p<Narrow>(rest_at_b)), add(sums_.label_distance, label_distance);
        Lanes moment[evaluation_orders], cumulant[evaluation_orders], factor = one / (one + rest_at_b);
        for (int n = 0; n < evaluation_orders; ++n) {
            factor = factor * ln2;  // back from units of ln 2
            cumulant[n] = moment[n] = loaded(terms[4 + n]) * factor;
            double choose = 1.0;  // n over k
            for (int k = 0; k < n; ++k) {
                cumulant[n] = fma(cumulant[k] * -choose, moment[n - 1 - k], cumulant[n]);
                choose = choose * (n - k) / (k + 1);
            }
            add(sums_.cumulant[n], cumulant[n]);
        }
        fill_bins(confidence, right);
        find_bad_row((top - top) + (all_pull - all_pull));
        filled = 0;
    }

    // To be called once, at the end.
    void store() {
        finish();
        total_.rows = sum_lanes(sums_.rows), total_.top1 = sum_lanes(sums_.top1), total_.top5 = sum_lanes(sums_.top5);
        total_.loss = sum_lanes(sums_.loss), total_.entropy = sum_lanes(sums_.entropy);
        total_.brier = sum_lanes(sums_.brier);
        total_.log_sum = sum_lanes(sums_.log_sum), total_.label_distance = sum_lanes(sums_.label_distance);
        for (int n = 0; n < evaluation_orders; ++n) total_.cumulant[n] = sum_lanes(sums_.cumulant[n]);
    }

private:
    NORMEXP_INLINE_LAMBDA static void add(Lanes& to, Lanes v) { to = to + v; }

    // Bin i holds confidences above i / bins, up to (i + 1) / bins.
    void fill_bins(Lanes confidence, Lanes right) {
        double confidences[lane_count], rights[lane_count];
        store_doubles(confidences, confidence), store_doubles(rights, right);
        for (int lane = 0; lane < filled; ++lane) {
            const double scaled = confidences[lane] * evaluation_bins;
            if (!(scaled > 0.0)) continue;  // NaN: a bad row
            int bin = int(scaled);
            bin -= bin > 0 && double(bin) == scaled;
            total_.bin_rows[bin] += 1, total_.bin_confidence[bin] += confidences[lane];
            total_.bin_right[bin] += rights[lane];
        }
    }

    // poison: not 0 but NaN where the row has a NaN, or its largest is infinite.
    void find_bad_row(Lanes poison) {
        if (sum_lanes(poison) == 0.0) return;
        double poisons[lane_count];
        store_doubles(poisons, poison);
        for (int lane = 0; lane < filled && total_.bad_row < 0; ++lane)
            if (poisons[lane] != 0.0) total_.bad_row = index[lane];
    }

    struct Sums {
        Lanes rows, loss, entropy, brier, top1, top5, log_sum, label_distance, cumulant[evaluation_orders];
    };
    Sums sums_{};
    Evaluation& total_;
};

// One row after the other, lanes along the row.
template <class T>
class EvaluateAlong {
public:
    EvaluateAlong(const Job& job, FloatLanes scale, EvaluatedRows& to) : row_(job), scale_(scale), to_(to) {}

    void handle(std::int64_t index) {
        row_.move_to(index);
        const std::int64_t label = label_of(row_), blocks = block_count(row_.job);
        if (label == no_label) return;
        double max = -infinity;
        std::int64_t largest = 0;
        for (std::int64_t block = 0; block < blocks; ++block) {
            const T* const x = row_.read(block);
            const double top = block_max(x, row_.count(block));
            if (block > 0 && !(top > max)) continue;
            max = top, largest = block * block_size + first_equal(x, row_.count(block), top);
        }
        const double at_label = logit_at(row_, label);
        double terms[Terms::count] = {};
        std::int64_t rank = 0;  // no further than the top five
        for (std::int64_t block = 0; block < blocks; ++block) {
            const T* const x = row_.read(block);
            const std::int64_t first = block * block_size, count = row_.count(block);
            add_block(x, count, max, largest < first ? count : largest - first, terms);
            if (label == largest || rank >= 5) continue;
            const std::int64_t before = label < first ? 0 : label - first < count ? label - first : count;
            if (before > 0) rank += count_before(x, before, at_label, true);
            if (before < count) rank += count_before(x + before, count - before, at_label, false);
        }
        const int lane = to_.filled;
        for (int i = 0; i < Terms::count; ++i) to_.terms[i][lane] = terms[i];
        to_.max[lane] = max, to_.at_label[lane] = at_label, to_.rank[lane] = double(rank), to_.index[lane] = index;
        if (++to_.filled == lane_count) to_.finish();
    }

private:
    void add_block(const T* x, std::int64_t count, double max, std::int64_t largest, double* sums) const {
        using L = typename Compared<T>::Type;
        const L from = broadcast<L>(max);
        Terms terms{};
        const auto distance = [&](L v) NORMEXP_INLINE_LAMBDA { return as_lanes<FloatLanes>(v - from); };
        const auto part = [&](std::int64_t at, int left_out, int valid) NORMEXP_INLINE_LAMBDA {
            const FloatLanes d = distance(load_compared_part(x, at, valid));
            terms.add(d, scale_, [&](FloatLanes e) NORMEXP_INLINE_LAMBDA {
                if (left_out < lane_count) e = without_lane(e, left_out);
                return valid < lane_count ? first_lanes(e, valid) : e;
            });
        };
        const auto whole = [&](std::int64_t at) NORMEXP_INLINE_LAMBDA { part(at, lane_count, lane_count); };
        visit_sixteens<lane_count>(count, largest, whole, whole, part);
        terms.each([&](int i, FloatLanes v) NORMEXP_INLINE_LAMBDA { sums[i] += sum_lanes(widen(v)); });
    }

    Row<T> row_;
    const FloatLanes scale_;
    EvaluatedRows& to_;
};

// Sixteen rows at once, a row a lane, for few classes.
template <class T>
class EvaluateAcross {
public:
    EvaluateAcross(const Job& job, FloatLanes scale, EvaluatedRows& to) : rows_(job), scale_(scale), to_(to) {}

    // Refuses rows that are to be ignored.
    bool handle(std::int64_t index) {
        using L = typename Compared<T>::Type;
        const Job& job = rows_.job;
        const Offsets at = row_offsets(job, index);
        labels_.read(job, at);
        double label_values[lane_count];
        T logits[lane_count];
        for (int lane = 0; lane < lane_count; ++lane) {
            const std::int64_t label = labels_.label[lane];
            if (label == no_label) return false;
            label_values[lane] = double(label);
            std::memcpy(logits + lane, job.x + at.x + lane * rows_.rows_axis().x + label * job.row[0].x, sizeof(T));
        }
        to_.finish();
        rows_.move_to(at);
        const L zero = broadcast<L>(0.0), one = broadcast<L>(1.0);
        const L max = rows_.block_max_across(0, job.length), at_label = load_compared(logits);
        const L label = as_lanes<L>(load_doubles(label_values));  // exact: few classes
        L unseen = one, rank = zero;                              // unseen: 1 until the first maximum has gone by
        Terms terms{};
        for (std::int64_t i = 0; i < job.length; ++i) {
            const L x = load_compared(rows_.logits(i)), left_out = where_equal(x, max, unseen, zero);
            unseen = unseen - left_out;
            const L before = where_greater(label, broadcast<L>(double(i)), one, zero);
            rank = rank + where_greater(x, at_label, one, where_equal(x, at_label, before, zero));
            const FloatLanes counts = as_lanes<FloatLanes>(one - left_out);
            terms.add(as_lanes<FloatLanes>(x - max), scale_,
                      [&](FloatLanes v) NORMEXP_INLINE_LAMBDA { return v * counts; });
        }
        terms.each([&](int i, FloatLanes v) NORMEXP_INLINE_LAMBDA { store_doubles(to_.terms[i], widen(v)); });
        store_doubles(to_.max, as_lanes<Lanes>(max)), store_doubles(to_.rank, as_lanes<Lanes>(rank));
        store_doubles(to_.at_label, as_lanes<Lanes>(at_label));
        for (int lane = 0; lane < lane_count; ++lane) to_.index[lane] = index + lane;
        to_.filled = lane_count;
        to_.finish();
        return true;
    }

private:
    Across<false, T> rows_;
    AcrossLabels labels_;
    const FloatLanes scale_;
    EvaluatedRows& to_;
};

}  // namespace normexp::NORMEXP_LEVEL
