// What the entry points of one CPU level share, and those that kernels.cpp collects from other files.
#pragma once

#include "rows.hpp"

namespace normexp::NORMEXP_LEVEL {

// Calls f.template operator()<T>() for the job's element type.
template <class F>
NORMEXP_INLINE void with_type(const Job& job, F f) {
    switch (job.dtype) {
        case DType::float16: return f(Half{});
        case DType::bfloat16: return f(BFloat{});
        case DType::float32: return f(float{});
        case DType::float64: return f(double{});
    }
}

template <class Width>
NORMEXP_INLINE PlainState plain(const State<Width, double>& state, bool any) {
    if constexpr (Width::two_words)
        return {state.max, state.rest.hi, state.rest.lo, any};
    else
        return {state.max, state.rest, 0.0, any};
}
template <class Width>
NORMEXP_INLINE State<Width, double> unplain(const PlainState& state) {
    if constexpr (Width::two_words)
        return {state.max, {state.rest, state.rest_low}};
    else
        return {state.max, state.rest};
}

// Visits rows [first, last) in order: one(i) handles one, sixteen(across, i) sixteen from i on, or refuses. `across` is
// made(), only where the job goes sixteen rows at a time.
template <class Made, class Sixteen, class One>
NORMEXP_INLINE void visit_rows(const Job& job, std::int64_t first, std::int64_t last, Made made, Sixteen sixteen,
                               One one) {
    if (!job.across) {
        for (std::int64_t i = first; i < last; ++i) one(i);
        return;
    }
    auto across = made();
    const std::int64_t side_by_side = job.outer[job.outer_axes - 1].size;
    for (std::int64_t i = first; i < last;) {
        const std::int64_t at = i % side_by_side, to_end = side_by_side - at;
        const bool early = at < job.lead;
        if (!early && to_end >= lane_count && last - i >= lane_count && sixteen(across, i)) {
            i += lane_count;
        } else {
            std::int64_t stop = i + (early ? job.lead - at : to_end < lane_count ? to_end : lane_count);
            for (stop = stop < last ? stop : last; i < stop; ++i) one(i);
        }
    }
}

// losses.cpp
void losses(const Job&, std::int64_t first, std::int64_t last, PlainSum*);
PlainLabel label(const Job&, std::int64_t row);
void loss_at_label(const Job&, std::int64_t row, const PlainState&, const PlainLabel&, PlainSum*);
void gradient_at_label(const Job&, std::int64_t row, const PlainState&, const PlainLabel&);
// product_losses.cpp
void product_losses(const Job&, const Product&, std::int64_t first, std::int64_t last, PlainSum*);
// stats.cpp
void stats(const Job&, std::int64_t first, std::int64_t last);
// evaluate.cpp
void evaluate(const Job&, std::int64_t first, std::int64_t last, Evaluation*);
// loss_states.cpp
void losses_keeping(const Job&, std::int64_t first, std::int64_t last, double* kept, PlainSum*);
void gradients_kept(const Job&, std::int64_t first, std::int64_t last, const double* kept);
// backward.cpp
void backward(const Job&, std::int64_t first, std::int64_t last);

}  // namespace normexp::NORMEXP_LEVEL
