// Compiled once per CPU level, as kernels.cpp is: the entry point for evaluation.
#include "evaluate.hpp"

#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

void evaluate(const Job& job, std::int64_t first, std::int64_t last, Evaluation* total) {
    const FloatLanes scale = broadcast<FloatLanes>(log2_e / job.temperature);
    EvaluatedRows to(*total);
    with_type(job, [&]<class T>(T) {
        EvaluateAlong<T> along(job, scale, to);
        visit_rows(
            job, first, last, [&] { return EvaluateAcross<T>(job, scale, to); },
            [](auto& across, std::int64_t i) { return across.handle(i); }, [&](std::int64_t i) { along.handle(i); });
    });
    to.store();
}

}  // namespace normexp::NORMEXP_LEVEL
