// Compiled once per CPU level, with NORMEXP_LEVEL naming it: the entry points of job.hpp for every element type.
#include "kernels.hpp"

#include "across.hpp"

namespace normexp::NORMEXP_LEVEL {

NORMEXP_INLINE bool is_scaled(const Job& job) { return job.temperature != 1.0; }

template <bool scaled, class T, class Width = typename Native<T>::Width>
static void one_row(Row<T>& row, const Scale& scale, std::int64_t index, Kept<Width>& kept) {
    row.move_to(index);
    const Job& job = row.job;
    if (job.op == Op::state) {
        const auto state = reduce_row<Wide>(row);
        if (state.max == infinity)  // the sum cannot tell an infinity from a NaN
            store_state(row.out, {infinity, number<Two<double>>(has_nan(row) ? quiet_nan : 0.0)}, row.any);
        else
            store_state(row.out, state, row.any);
        return;
    }
    const std::int64_t blocks = block_count(job);
    if (job.op == Op::softmax) {
        if constexpr (__is_same(Width, Single) && !scaled)
            if (blocks == 1 && softmax_of_one_block(row, kept.of(0))) return;
        const auto state = reduce_row<Width, scaled, true, true>(row, scale, &kept);
        map_row<scaled>(row, 0, blocks, state, scale, kept.maxima, kept.exponentials);
        return;
    }
    const auto state = reduce_row<Width, scaled, false, false>(row, scale, &kept);
    if (job.op == Op::logsumexp)
        store_one<T>(row.out, logsumexp_row(row, state));
    else
        map_row<scaled>(row, 0, blocks, state, scale, kept.maxima, static_cast<Num<Width, Lanes>*>(nullptr));
}

template <bool scaled, class T, class Width = typename Native<T>::Width>
static void all_rows(const Job& job, std::int64_t first, std::int64_t last) {
    static thread_local Kept<Width> kept;
    kept.reserve(block_count(job));
    const Scale scale = scale_of(job);
    Row<T> row(job);
    visit_rows(
        job, first, last, [&] { return Across<scaled, T>(job); },
        [](auto& across, std::int64_t i) { return across.handle(i); },
        [&](std::int64_t i) { one_row<scaled>(row, scale, i, kept); });
}

static void rows(const Job& job, std::int64_t first, std::int64_t last) {
    with_type(job, [&]<class T>(T) {
        if (is_scaled(job))
            all_rows<true, T>(job, first, last);
        else
            all_rows<false, T>(job, first, last);
    });
    if (job.stream) stream_fence();
}

static std::int64_t blocks(const Job& job) { return block_count(job); }

static void reduce_blocks(const Job& job, std::int64_t index, std::int64_t first, std::int64_t last, PlainState* states,
                          double* maxima) {
    with_type(job, [&]<class T>(T) {
        using Width = typename Native<T>::Width;
        const Scale scale = scale_of(job);
        Row<T> row(job);
        row.move_to(index);
        for (std::int64_t block = first; block < last; ++block) {
            row.any = false;
            const T* x = row.read(block);
            Num<Width, Lanes>* const none = nullptr;
            const auto fold = [&]<bool scaled, bool for_softmax>() {
                return fold_block<Width, scaled, false, for_softmax>(x, row.count(block), scale, none);
            };
            const bool softmax = job.op == Op::softmax;
            const auto state = is_scaled(job) ? fold.template operator()<true, false>()
                               : softmax      ? fold.template operator()<false, true>()
                                              : fold.template operator()<false, false>();
            states[block] = plain<Width>(state, row.any);
            maxima[block] = state.max;
        }
    });
}

static PlainState fold_states(const Job& job, const PlainState* states, std::int64_t count) {
    PlainState result = states[0];
    with_type(job, [&]<class T>(T) {
        using Width = typename Native<T>::Width;
        const Scale scale = scale_of(job);
        auto state = unplain<Width>(states[0]);
        bool any = states[0].any;
        for (std::int64_t block = 1; block < count; ++block) {
            const auto next = unplain<Width>(states[block]);
            state = is_scaled(job) ? merge<Width, true>(state, next, scale) : merge<Width, false>(state, next, scale);
            any |= states[block].any;
        }
        result = plain<Width>(state, any);
    });
    return result;
}

static void map_blocks(const Job& job, std::int64_t index, std::int64_t first, std::int64_t last,
                       const PlainState& total, const double* maxima, double gain) {
    with_type(job, [&]<class T>(T) {
        using Width = typename Native<T>::Width;
        const Scale scale = scale_of(job);
        const auto state = unplain<Width>(total);
        Num<Width, Lanes>* const none = nullptr;
        Row<T> row(job);
        row.move_to(index);
        row.any = total.any;
        if (job.op == Op::logsumexp)
            store_one<T>(row.out, logsumexp_row(row, state));
        else if (is_scaled(job))
            map_row<true>(row, first, last, state, scale, maxima, none, gain);
        else
            map_row<false>(row, first, last, state, scale, maxima, none, gain);
    });
    if (job.stream) stream_fence();
}

static State<Wide, double> load_state(const double* p) { return {p[0], {p[1], p[2]}}; }

static void merge_states(const double* a, const double* b, double* out, std::int64_t count) {
    for (std::int64_t i = 0; i < 3 * count; i += 3)
        store_state(reinterpret_cast<char*>(out + i), merge<Wide, false>(load_state(a + i), load_state(b + i), Scale{}),
                    true);
}

static void state_values(const double* states, double* values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        const auto state = load_state(states + 3 * i);
        const bool nan = state.max != state.max || state.rest.hi != state.rest.hi;
        const bool infinite = state.max == infinity || state.max == -infinity;
        values[i] = nan ? quiet_nan : infinite ? state.max : state_value(state);
    }
}

extern const Kernels kernels;
const Kernels kernels{NORMEXP_LEVEL_NAME, rows,         blocks,         reduce_blocks, fold_states,
                      map_blocks,         losses,       product_losses, label,         loss_at_label,
                      gradient_at_label,  stats,        evaluate,       backward,      losses_keeping,
                      gradients_kept,     merge_states, state_values};

}  // namespace normexp::NORMEXP_LEVEL
