#include "views.hpp"

#include <stdexcept>

namespace normexp {

std::optional<DType> float_type(ElementType type) {
    switch (type) {
        case ElementType::float16: return DType::float16;
        case ElementType::bfloat16: return DType::bfloat16;
        case ElementType::float32: return DType::float32;
        case ElementType::float64: return DType::float64;
        default: return std::nullopt;
    }
}

ElementType element_type(DType type) {
    switch (type) {
        case DType::float16: return ElementType::float16;
        case DType::bfloat16: return ElementType::bfloat16;
        case DType::float32: return ElementType::float32;
        default: return ElementType::float64;
    }
}

std::int64_t View::elements() const {
    std::int64_t n = 1;
    for (int i = 0; i < axes; ++i) n *= size(i);
    return n;
}

static void require(bool fits, const char* otherwise) {
    if (!fits) throw std::invalid_argument(otherwise);
}

static Job start(Op op, const View& x) {
    const std::optional<DType> dtype = float_type(x.type);
    require(dtype.has_value() && x.axes <= max_axes, "x must have a float type");
    Job job{};
    job.op = op, job.dtype = *dtype, job.x = x.data, job.temperature = 1.0;
    return job;
}

Job make_job(Op op, const View& x, const View& out, const View* mask, std::uint64_t reduced, bool negate,
             double temperature) {
    Job job = start(op, x);
    const bool maps = op == Op::softmax || op == Op::log_softmax;
    job.negate = negate, job.temperature = temperature;
    job.out = out.data, job.mask = mask ? mask->data : nullptr;
    require(out.axes >= x.axes && (!mask || mask->axes == x.axes), "arrays differ in dimensions");
    for (int i = 0; i < x.axes; ++i) {
        const bool is_row = reduced >> i & 1, has_out = maps || !is_row;
        const std::int64_t size = x.size(i);
        require(!has_out || out.size(i) == size, "x and out differ in shape");
        require(!mask || mask->size(i) == size, "x and mask differ in shape");
        (is_row ? job.row[job.row_axes++] : job.outer[job.outer_axes++]) = {
            size, x.stride(i), has_out ? out.stride(i) : 0, mask ? mask->stride(i) : 0};
    }
    plan(job);
    return job;
}

Job row_job(Op op, const ByRow& views, int axis) {
    const View& x = *views.x;
    Job job = start(op, x);
    require(axis >= 0 && axis < x.axes, "x has no such axis");
    job.out = views.out ? views.out->data : nullptr;
    const bool labels = views.target && !is_probability(views.target->type);
    const auto check = [&](const View* view, int axes) {
        require(!view || view->axes == axes, "arrays differ in dimensions");
    };
    check(views.out, x.axes), check(views.target, labels ? x.axes - 1 : x.axes), check(views.value, x.axes - 1);
    for (int i = 0, other = 0; i < x.axes; ++i) {
        const bool is_row = i == axis;
        const auto stride = [&](const View* view, bool one_a_row) -> std::int64_t {
            if (!view || (one_a_row && is_row)) return 0;
            const int at = one_a_row ? other : i;
            require(view->size(at) == x.size(i), "arrays differ in shape");
            return view->stride(at);
        };
        const Axis made{x.size(i), x.stride(i),
                        stride(views.out, false), 0,
                        stride(views.target, labels), stride(views.value, true)};
        (is_row ? job.row[job.row_axes++] : job.outer[job.outer_axes++]) = made;
        other += !is_row;
    }
    return job;
}

Job label_job(const Target& target, const View& labels) {
    Job job{};
    job.op = Op::loss, job.target = &target, job.row_axes = 1, job.row[0] = {1, 0, 0, 0};
    for (int i = 0; i < labels.axes; ++i) {
        job.outer[job.outer_axes] = {labels.size(i), 0, 0, 0};
        job.outer[job.outer_axes++].target = labels.stride(i);
    }
    plan(job);
    return job;
}

void set_ignored(Target& target, std::optional<std::int64_t> label) {
    target.ignores = label.has_value(), target.ignore_index = label.value_or(-1);
}

std::vector<double> padded(const double* weight, std::int64_t classes) {
    std::vector<double> copy(weight, weight + classes);
    copy.resize(std::size_t((classes + 15) / 16 * 16));
    return copy;
}

double run_job_losses(const Job& job, double* kept) {
    const PlainSum sum = kept ? run_losses_keeping(job, kept) : run_losses(job);
    return sum.hi - sum.hi == 0 ? sum.hi + sum.lo : sum.hi;
}

}  // namespace normexp
