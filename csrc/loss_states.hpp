// A loss now, its gradient later, as autograd asks for them: the rows' states are kept in between, so that the gradient
// is one map of the logits instead of another reduce and a map. Rows with a label, lanes along the row (losses.hpp).
//
// What a row keeps, in doubles: its max, its rest in two words, then the max of each of its blocks.
#pragma once

#include "losses.hpp"

namespace normexp::NORMEXP_LEVEL {

template <class Width>
NORMEXP_INLINE void keep_state(double* kept, const State<Width, double>& state) {
    kept[0] = state.max;
    if constexpr (Width::two_words)
        kept[1] = state.rest.hi, kept[2] = state.rest.lo;
    else
        kept[1] = state.rest, kept[2] = 0.0;
}
template <class Width>
NORMEXP_INLINE State<Width, double> kept_state(const double* kept) {
    if constexpr (Width::two_words)
        return {kept[0], {kept[1], kept[2]}};
    else
        return {kept[0], kept[1]};
}

template <class T, class Width = typename Native<T>::Width>
static void loss_keeping_state(Row<T>& row, Kept<Width>& scratch, double* kept, LossSum& sum) {
    const std::int64_t label = label_of(row);
    if (label == no_label) return ignore_row(row);
    const auto state = reduce_row<Width, false, false, false>(row, Scale{}, &scratch);
    finish_loss(row, labelled_loss(row, label, logit_at(row, label), state), sum);
    keep_state<Width>(kept, state);
    std::memcpy(kept + kept_state_size, scratch.maxima, std::size_t(block_count(row.job)) * sizeof(double));
}

template <class T, class Width = typename Native<T>::Width>
static void gradient_from_state(Row<T>& row, const double* kept) {
    const std::int64_t label = label_of(row);
    if (label == no_label) return ignore_row(row);
    row.any = true;  // nothing is masked
    Num<Width, Lanes>* const none = nullptr;
    write_gradient(row, label, logit_at(row, label), kept_state<Width>(kept), kept + kept_state_size, none);
}

}  // namespace normexp::NORMEXP_LEVEL
