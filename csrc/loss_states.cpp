// Compiled once per CPU level: the entry points of losses that keep their rows' states for the gradient.
#include "loss_states.hpp"

#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

void losses_keeping(const Job& job, std::int64_t first, std::int64_t last, double* kept, PlainSum* result) {
    const std::int64_t each = kept_state_size + block_count(job);
    LossSum sum;
    with_type(job, [&]<class T>(T) {
        static thread_local Kept<typename Native<T>::Width> scratch;
        scratch.reserve(block_count(job));
        Row<T> row(job);
        for (std::int64_t i = first; i < last; ++i)
            row.move_to(i), loss_keeping_state(row, scratch, kept + i * each, sum);
    });
    *result = {sum.sum.hi, sum.sum.lo};
}

void gradients_kept(const Job& job, std::int64_t first, std::int64_t last, const double* kept) {
    const std::int64_t each = kept_state_size + block_count(job);
    with_type(job, [&]<class T>(T) {
        Row<T> row(job);
        for (std::int64_t i = first; i < last; ++i) row.move_to(i), gradient_from_state(row, kept + i * each);
    });
    if (job.stream) stream_fence();
}

}  // namespace normexp::NORMEXP_LEVEL
