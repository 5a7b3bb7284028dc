// Compiled once per CPU level: the entry point of the backwards of softmax and log_softmax.
#include "backward.hpp"

#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

void backward(const Job& job, std::int64_t first, std::int64_t last) {
    with_type(job, [&]<class T>(T) {
        using Width = typename Native<T>::Width;
        BackwardRow<T> row(job);
        visit_rows(
            job, first, last, [&] { return BackwardAcross<T>(job); },
            [](auto& across, std::int64_t i) { return across.handle(i); },
            [&](std::int64_t i) {
                row.y.move_to(i);
                if (!backward_row<Width>(row)) backward_row<Single>(row);
            });
    });
    if (job.stream) stream_fence();
}

}  // namespace normexp::NORMEXP_LEVEL
