// Compiled once per CPU level, as kernels.cpp is: the entry points for losses.
#include "across_losses.hpp"
#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class T>
static void labelled_rows(const Job& job, std::int64_t first, std::int64_t last, LossSum& sum) {
    static thread_local Kept<typename Native<T>::Width> kept;
    kept.reserve(block_count(job));
    Row<T> row(job);
    visit_rows(
        job, first, last, [&] { return AcrossLabelled<T>(job); },
        [&](auto& across, std::int64_t i) { return across.handle(i, sum); },
        [&](std::int64_t i) { row.move_to(i), labelled_row(row, kept, sum); });
}

template <class T>
static void dense_rows(const Job& job, std::int64_t first, std::int64_t last, LossSum& sum) {
    Row<T> row(job);
    DenseRow<T> dense(row);
    visit_rows(
        job, first, last, [&] { return AcrossDense<T>(job); },
        [&](auto& across, std::int64_t i) { return across.handle(i, sum); },
        [&](std::int64_t i) { row.move_to(i), dense.handle(sum); });
}

template <class T>
static void nll_rows(const Job& job, std::int64_t first, std::int64_t last, LossSum& sum) {
    Row<T> row(job);
    for (std::int64_t i = first; i < last; ++i) row.move_to(i), nll_row(row, sum);
}

void losses(const Job& job, std::int64_t first, std::int64_t last, PlainSum* result) {
    LossSum sum;
    with_type(job, [&]<class T>(T) {
        if (job.target->log_probabilities)
            nll_rows<T>(job, first, last, sum);
        else if (job.target->dense())
            dense_rows<T>(job, first, last, sum);
        else
            labelled_rows<T>(job, first, last, sum);
    });
    *result = sum.value();
    if (job.stream) stream_fence();
}

// A row split among threads: its label's logit, and all else from its state.
template <class F>
static void with_row(const Job& job, std::int64_t index, F f) {
    with_type(job, [&]<class T>(T) {
        Row<T> row(job);
        row.move_to(index);
        f(row, label_of(row));
    });
}
PlainLabel label(const Job& job, std::int64_t index) {
    PlainLabel result{};
    with_row(job, index, [&](auto& row, std::int64_t at) {
        if (at != no_label) result = {true, logit_at(row, at), job.target->gain * weight_of(row, at)};
    });
    return result;
}
void loss_at_label(const Job& job, std::int64_t index, const PlainState& total, const PlainLabel& of,
                   PlainSum* result) {
    LossSum sum;
    with_row(job, index, [&]<class T>(Row<T>& row, std::int64_t at) {
        const auto state = unplain<typename Native<T>::Width>(total);
        if (at != no_label) finish_loss(row, labelled_loss(row, at, of.logit, state), sum);
    });
    *result = sum.value();
}
void gradient_at_label(const Job& job, std::int64_t index, const PlainState& total, const PlainLabel& of) {
    with_row(job, index, [&]<class T>(Row<T>& row, std::int64_t at) {
        const auto state = unplain<typename Native<T>::Width>(total);
        if (at != no_label) write_gradient_at(row, at, of.logit, state);
    });
}

}  // namespace normexp::NORMEXP_LEVEL
