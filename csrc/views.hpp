// Arrays of either front, NumPy's or PyTorch's, as the engine sees them, and jobs made of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "job.hpp"

namespace normexp {

using ElementType = TargetType;  // all types that labels or target probabilities have, and so logits too
std::optional<DType> float_type(ElementType);
ElementType element_type(DType);

// One array. NumPy counts strides in bytes (unit 1), DLPack in elements (unit: bytes in one).
struct View {
    char* data;
    ElementType type;
    int axes;
    const std::int64_t *sizes, *strides;
    std::int64_t unit;

    std::int64_t size(int axis) const { return sizes[axis]; }
    std::int64_t stride(int axis) const { return strides[axis] * unit; }
    std::int64_t elements() const;
};

// A planned job over the axes that have a bit in `reduced`. out has the axes of x; a reduced one may be of length 1.
// Shapes that do not fit throw std::invalid_argument, here and below.
Job make_job(Op, const View& x, const View& out, const View* mask, std::uint64_t reduced, bool negate,
             double temperature);

// The axes of a job whose rows lie along one axis of x; whatever comes one to a row has the other axes. Not planned yet.
// A target of floats has an element for each one of x, labels have one a row.
struct ByRow {
    const View *x, *out, *target, *value;
};
Job row_job(Op, const ByRow&, int axis);

// A job over labels alone, for count_labels().
Job label_job(const Target&, const View& labels);

void set_ignored(Target&, std::optional<std::int64_t> label);

// Weights as the engine wants them: one a class, zeros up to the next multiple of sixteen.
std::vector<double> padded(const double* weight, std::int64_t classes);

// The sum of the rows' losses in one word. kept: where they leave what their gradients need, or null.
double run_job_losses(const Job&, double* kept = nullptr);

}  // namespace normexp
