// The losses of sixteen rows at once, one row a lane: for few classes, and for channel-first arrays. The lanes do what
// losses.hpp and dense_losses.hpp do for a row, in the same order, so a row has the same bits whichever handles it.
#pragma once

#include "across.hpp"
#include "dense_losses.hpp"

namespace normexp::NORMEXP_LEVEL {

// Labels and weights of sixteen rows.
struct AcrossLabels {
    alignas(64) std::int64_t label[lane_count];
    alignas(64) double weight[lane_count];

    void read(const Job& job, const Offsets& at) {
        const Target& target = *job.target;
        with_labels(target.type, [&]<class L>(L) NORMEXP_INLINE_LAMBDA {
            const std::int64_t apart = job.outer[job.outer_axes - 1].target;
            const char* p = target.data + at.target;
            L read[lane_count];
            if (apart == sizeof(L))
                std::memcpy(read, p, sizeof read);
            else
                for (int lane = 0; lane < lane_count; ++lane) read[lane] = read_as<L>(p + lane * apart);
            for (int lane = 0; lane < lane_count; ++lane) {
                const std::int64_t l = std::int64_t(read[lane]);
                const bool counts = std::uint64_t(l) < std::uint64_t(job.length) && l != target.ignore_index;
                label[lane] = counts ? l : no_label, weight[lane] = counts ? 1.0 : 0.0;
            }
        });
        if (target.weight)
            for (int lane = 0; lane < lane_count; ++lane)
                if (label[lane] != no_label) weight[lane] = target.weight[label[lane]];
    }
    // What the rows' gradients are multiplied by. An ignored row's is 0, even where the mean, over nothing, is not finite.
    Lanes gains(double gain) const {
        double gains[lane_count];
        for (int lane = 0; lane < lane_count; ++lane) gains[lane] = label[lane] == no_label ? 0.0 : gain * weight[lane];
        return load_doubles(gains);
    }
    // The rows' losses, but 0 for ignored ones.
    Lanes kept(Lanes losses) const {
        double ignored[lane_count];
        for (int lane = 0; lane < lane_count; ++lane) ignored[lane] = label[lane] == no_label ? 1.0 : 0.0;
        const Lanes zero = broadcast<Lanes>(0.0);
        return where_greater(load_doubles(ignored), zero, zero, losses);
    }
    // The class that a lane's logit is taken of; an ignored row's is of no consequence.
    std::int64_t safe(int lane) const { return label[lane] == no_label ? 0 : label[lane]; }
};

// Writes the rows' losses and adds them to the sum.
template <class T>
static void finish_losses(const Job& job, const Offsets& at, std::int64_t row, Lanes loss, LossSum& sum) {
    sum.add(row, loss);
    if (!job.target->value) return;
    T results[lane_count];
    store(results, loss);
    char* to = job.target->value + at.value;
    for (int lane = 0; lane < lane_count; ++lane)
        std::memcpy(to + lane * job.outer[job.outer_axes - 1].value, results + lane, sizeof(T));
}

template <class T>
struct AcrossLabelled {
    using Width = typename Native<T>::Width;
    Across<false, T> rows;
    AcrossLabels labels;

    explicit AcrossLabelled(const Job& job) : rows(job) {}

    // Handles rows [row, row + 16) and returns true, or returns false, nothing written, if one of them is for losses.hpp.
    bool handle(std::int64_t row, LossSum& sum) {
        const Job& job = rows.job;
        const Axis& side = rows.rows_axis();
        const Offsets at = row_offsets(job, row);
        labels.read(job, at);
        State<Width, Lanes> state;
        if (!rows.reduce_at(at, state)) return false;
        T logits[lane_count];  // before the gradient may take their place
        for (int lane = 0; lane < lane_count; ++lane) logits[lane] = rows.logits(labels.safe(lane))[lane];
        const Lanes x = load(logits), weight = load_doubles(labels.weight);
        if (job.out) {
            const Lanes gain = labels.gains(job.target->gain);
            char *const out = job.out + at.out, *const to = rows.place(out);
            if (!rows.write_softmax(to, state, gain)) return false;
            T results[lane_count];
            store(results, gradient_at(x, state, gain));
            for (int lane = 0; lane < lane_count; ++lane)
                if (labels.label[lane] != no_label)
                    std::memcpy(to + lane * side.out + labels.label[lane] * job.row[0].out, results + lane, sizeof(T));
            rows.send(to, out);
        }
        finish_losses<T>(job, at, row, labels.kept(weight * loss_at(x, state)), sum);
        return true;
    }
};

template <class T>
struct AcrossDense {
    using Width = typename Dense<T>::Width;
    Across<false, T, Width> rows;
    Coefficients<Width> a;
    AcrossLabels labels;

    explicit AcrossDense(const Job& job) : rows(job), a(*job.target, job.length) {}

    // As above, for dense_losses.hpp. A gradient that cancels is for it, too.
    bool handle(std::int64_t row, LossSum& sum) {
        const Job& job = rows.job;
        const Target& target = *job.target;
        const bool labelled = !is_probability(target.type);
        const Offsets at = row_offsets(job, row);
        if (labelled) {
            labels.read(job, at);
            for (const std::int64_t label : labels.label)
                if (label == no_label) return false;
        }
        probabilities = target.data + at.target;
        State<Width, Lanes> state;
        if (!rows.reduce_at(at, state)) return false;
        const Mass<Width, Lanes> mass = total_mass(state);
        const Lanes drop = leading(mass.drop), loss = dense_loss(state, mass);
        if (!all_zero((drop - drop) + (loss - loss))) return false;  // an infinite one
        if (job.out) {
            const auto factor = dense_factor(state, mass);
            const Lanes gain = broadcast<Lanes>(target.gain);
            for (std::int64_t i = 0; i < job.length; ++i)
                if (any_cancelled(gradient(i, state.max, factor, gain), leading(coefficients(i)), gain,
                                  Dense<T>::margin))
                    return false;
            char *const out = job.out + at.out, *const to = rows.place(out);
            rows.write(to, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return gradient(i, state.max, factor, gain); });
            rows.send(to, out);
        }
        finish_losses<T>(job, at, row, loss, sum);
        return true;
    }

private:
    const char* probabilities = nullptr;

    // a of class i in the sixteen rows.
    Num<Width, Lanes> coefficients(std::int64_t i) const {
        const Job& job = rows.job;
        const Target& target = *job.target;
        alignas(64) double y[lane_count];
        if (is_probability(target.type)) {
            read_probabilities(target.type, probabilities + i * job.row[0].target, rows.rows_axis().target, lane_count,
                               y);
        } else {
            for (int lane = 0; lane < lane_count; ++lane) y[lane] = labels.label[lane] == i ? 1.0 : 0.0;
        }
        return a.of(load_doubles(y), broadcast<Lanes>(target.weight ? target.weight[i] : 1.0));
    }
    Mass<Width, Lanes> total_mass(const State<Width, Lanes>& state) const {
        Mass<Width, Lanes> total;
        const std::int64_t length = rows.job.length;
        for (std::int64_t first = 0; first < length; first += block_size) {
            const std::int64_t last = first + block_size < length ? first + block_size : length;
            const Lanes max = rows.maxima ? rows.maxima[first / block_size] : state.max;
            const Lanes from = where_equal(max, broadcast<Lanes>(-infinity), broadcast<Lanes>(0.0), max);
            Num<Width, Lanes> masses[lane_count], drops[lane_count];
            for (int k = 0; k < lane_count; ++k) masses[k] = drops[k] = number<Num<Width, Lanes>>(0.0);
            for (std::int64_t i = first; i < last; ++i) {
                const int k = int((i - first) % lane_count);
                const auto share = coefficients(i);
                masses[k] = accumulate(masses[k], share);
                drops[k] = accumulate(drops[k], drop_of<Width>(share, rows.wide_logits(i), from));
            }
            const Mass<Width, Lanes> block{tree_sum(masses), tree_sum(drops), from};
            total = first == 0 ? block : merge(total, block);
        }
        return total;
    }
    Lanes gradient(std::int64_t i, Lanes max, const Num<Width, Lanes>& factor, Lanes gain) const {
        return dense_gradient_of<Width>(coefficients(i), rows.wide_logits(i), max, factor, gain);
    }
};

}  // namespace normexp::NORMEXP_LEVEL
