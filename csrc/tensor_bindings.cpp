// PyTorch's tensors to jobs. What a call does not fit (another device or type, shapes that do not go together, a label that
// is no class, a mean over nothing) gives None, and the Python front hands the call to PyTorch: its results, its errors.
#include "tensor_bindings.hpp"

#include <nanobind/stl/optional.h>

#include "memory_pool.hpp"
#include "released.hpp"
#include "tensors.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace normexp {
namespace {

bool is_float(const TensorView& view) { return float_type(view.type).has_value(); }

bool same_shape(const View& a, const View& b) {
    if (a.axes != b.axes) return false;
    for (int i = 0; i < a.axes; ++i)
        if (a.size(i) != b.size(i)) return false;
    return true;
}

// An axis in 0 .. axes - 1, or nothing. A tensor without axes counts as a row of one element.
std::optional<int> axis_of(std::int64_t dim, int axes) {
    const std::int64_t count = axes ? axes : 1;
    if (dim < -count || dim >= count) return std::nullopt;
    return int(dim < 0 ? dim + count : dim);
}

// A new tensor, and its view: contiguous.
struct Made {
    NewTensor tensor;
    std::int64_t sizes[max_axes], strides[max_axes];
    View view;

    Made(ElementType type, int axes, const std::int64_t* of_sizes) : tensor(new_tensor(type, axes, of_sizes)) {
        std::int64_t stride = 1;
        for (int i = axes - 1; i >= 0; --i) sizes[i] = of_sizes[i], strides[i] = stride, stride *= sizes[i];
        view = {tensor.data, type, axes, sizes, strides, element_bytes(type)};
    }
    Made(const Made&) = delete;
};

void run_released(const Job& job, void (*runner)(const Job&)) {
    if (job.rows && job.length) released(job.rows * job.length, [&] { runner(job); });
}

// softmax, log_softmax; negate: softmin.
nb::object tensor_map(int op, nb::handle x_object, std::int64_t dim, bool negate) {
    const auto x = TensorView::of(x_object);
    if (!x || !is_float(*x)) return nb::none();
    const auto axis = axis_of(dim, x->axes);
    if (!axis) return nb::none();
    Made out(x->type, x->axes, x->sizes);
    run_released(make_job(Op(op), *x, out.view, nullptr, std::uint64_t(1) << *axis, negate, 1.0), run);
    return std::move(out.tensor.object);
}

// softmax over all axes that have a bit in `reduced`: the gradient of logsumexp.
nb::object tensor_softmax(nb::handle x_object, std::uint64_t reduced) {
    const auto x = TensorView::of(x_object);
    if (!x || !is_float(*x)) return nb::none();
    Made out(x->type, x->axes, x->sizes);
    run_released(make_job(Op::softmax, *x, out.view, nullptr, reduced, false, 1.0), run);
    return std::move(out.tensor.object);
}

nb::object tensor_logsumexp(nb::handle x_object, std::uint64_t reduced, bool keepdim) {
    const auto x = TensorView::of(x_object);
    if (!x || !is_float(*x) || !x->elements()) return nb::none();
    std::int64_t kept[max_axes], left[max_axes];
    int axes = 0;
    for (int i = 0; i < x->axes; ++i) {
        const bool is_row = reduced >> i & 1;
        kept[i] = is_row ? 1 : x->size(i);
        if (!is_row || keepdim) left[axes++] = kept[i];
    }
    Made out(x->type, axes, left);
    View with_rows = out.view;
    std::int64_t strides[max_axes], stride = 1;
    for (int i = x->axes - 1; i >= 0; --i) strides[i] = stride, stride *= kept[i];
    with_rows.axes = x->axes, with_rows.sizes = kept, with_rows.strides = strides;
    run_released(make_job(Op::logsumexp, *x, with_rows, nullptr, reduced, false, 1.0), run);
    return std::move(out.tensor.object);
}

nb::object tensor_backward(int op, nb::handle grad_object, nb::handle result_object, std::int64_t dim) {
    const auto grad = TensorView::of(grad_object), result = TensorView::of(result_object);
    if (!grad || !result || !is_float(*result) || grad->type != result->type || !same_shape(*grad, *result))
        return nb::none();
    const auto axis = axis_of(dim, result->axes);
    if (!axis || result->axes == 0) return nb::none();
    Made out(result->type, result->axes, result->sizes);
    Job job = row_job(Op(op), {&*result, &out.view, &*grad, nullptr}, *axis);
    Target target{};
    target.type = grad->type, target.data = grad->data;
    job.target = &target;
    plan(job);
    run_released(job, run_backward);
    return std::move(out.tensor.object);
}

// ---- losses --------------------------------------------------------------------------------------------------------------

// The arguments of a loss, if they fit. PyTorch's class axis is the second, or the only one.
struct Loss {
    TensorView x, against;
    std::optional<TensorView> weight;
    int axis;
    std::vector<double> weights;
    Target target{};

    std::int64_t classes() const { return x.size(axis); }
    bool labels() const { return !is_probability(against.type); }

    static std::optional<Loss> of(nb::handle x_object, nb::handle target_object, nb::handle weight_object,
                                  std::int64_t ignore_index, double smoothing, bool log_probabilities) {
        const auto x = TensorView::of(x_object), against = TensorView::of(target_object);
        if (!x || !against || !is_float(*x) || !x->elements()) return std::nullopt;
        if (x->axes == 0 || !(smoothing >= 0 && smoothing <= 1)) return std::nullopt;
        Loss loss;
        loss.x = *x, loss.against = *against, loss.axis = x->axes == 1 ? 0 : 1;
        if (!loss.fits(ignore_index, log_probabilities)) return std::nullopt;
        if (!weight_object.is_none()) {
            loss.weight = TensorView::of(weight_object);
            if (!loss.takes_weight()) return std::nullopt;
        }
        Target& target = loss.target;
        target.type = against->type, target.data = against->data, target.smoothing = smoothing;
        target.weight = loss.weights.empty() ? nullptr : loss.weights.data();
        target.log_probabilities = log_probabilities, target.gain = 1.0;
        set_ignored(target, ignore_index);
        return loss;
    }

private:
    bool fits(std::int64_t ignore_index, bool log_probabilities) const {
        if (!labels())
            return against.type == x.type && same_shape(x, against) && ignore_index < 0 && !log_probabilities;
        const bool bytes = against.type == ElementType::uint8 && x.axes <= 2;
        if (against.type != ElementType::int64 && !bytes) return false;
        if (against.axes != x.axes - 1) return false;
        for (int i = 0, other = 0; i < x.axes; ++i)
            if (i != axis && against.size(other++) != x.size(i)) return false;
        return true;
    }
    bool takes_weight() {
        if (!weight || weight->type != x.type || weight->axes != 1 || weight->size(0) != classes()) return false;
        std::vector<double> plain(static_cast<std::size_t>(classes()));
        for (std::int64_t i = 0; i < classes(); ++i)
            plain[std::size_t(i)] = load_float(weight->type, weight->data + i * weight->stride(0));
        weights = padded(plain.data(), classes());
        return true;
    }
};

enum class Reduction { none, mean, sum };

// Below this, 1 / divisor may overflow.
constexpr double small_divisor = 0x1p-1000;

// The mean divides by this: the sum of the weights of the labels that count, or the number of rows. Nothing if there is a
// label that is no class, or nothing to divide by.
std::optional<double> divisor_of(const Loss& loss, Reduction reduction) {
    const std::int64_t rows = loss.x.elements() / loss.classes();
    if (!loss.labels()) return double(rows);
    const Job job = label_job(loss.target, loss.against);
    const LabelCount count = released(job.rows, [&] { return count_labels(job, loss.classes()); });
    if (count.bad_row >= 0) return std::nullopt;
    const double divisor = loss.weight ? count.weight : double(count.kept);
    const double size = divisor < 0 ? -divisor : divisor;
    if (reduction == Reduction::mean && !(size > small_divisor)) return std::nullopt;
    return divisor;
}

// (the loss, its derivative by the sum of the rows' losses, what the rows keep for their gradient or None). keep: whether a
// gradient will be asked for.
nb::object tensor_loss(nb::handle x, nb::handle target, nb::handle weight, std::int64_t ignore_index, double smoothing,
                       bool log_probabilities, int reduction_number, bool keep) {
    auto loss = Loss::of(x, target, weight, ignore_index, smoothing, log_probabilities);
    if (!loss) return nb::none();
    const auto reduction = Reduction(reduction_number);
    const std::optional<double> divisor = divisor_of(*loss, reduction);
    if (!divisor) return nb::none();
    std::int64_t rows_sizes[max_axes];
    int axes = 0;
    if (reduction == Reduction::none)
        for (int i = 0; i < loss->x.axes; ++i)
            if (i != loss->axis) rows_sizes[axes++] = loss->x.size(i);
    Made out(loss->x.type, axes, rows_sizes);
    const View* const each = reduction == Reduction::none ? &out.view : nullptr;
    Job job = row_job(Op::loss, {&loss->x, nullptr, &loss->against, each}, loss->axis);
    loss->target.value = each ? out.view.data : nullptr;
    job.target = &loss->target;
    plan(job);
    std::optional<Made> kept;
    if (const std::int64_t each_row = keep ? kept_doubles(job) : 0) {
        const std::int64_t doubles = job.rows * each_row;
        kept.emplace(ElementType::float64, 1, &doubles);
    }
    double* const states = kept ? reinterpret_cast<double*>(kept->view.data) : nullptr;
    const double total = released(job.rows * job.length, [&] { return run_job_losses(job, states); });
    const double gain = reduction == Reduction::mean ? 1.0 / *divisor : 1.0;
    if (!each) store_rounded(loss->x.type, out.view.data, reduction == Reduction::mean ? total / *divisor : total);
    return nb::make_tuple(out.tensor.object, gain, kept ? kept->tensor.object : nb::object(nb::none()));
}

// The derivative of the loss by the sum of the rows' losses, alone.
nb::object tensor_gain(nb::handle x, nb::handle target, nb::handle weight, std::int64_t ignore_index,
                       int reduction_number) {
    const auto loss = Loss::of(x, target, weight, ignore_index, 0.0, false);
    const auto reduction = Reduction(reduction_number);
    if (!loss) return nb::none();
    const std::optional<double> divisor = divisor_of(*loss, reduction);
    if (!divisor) return nb::none();
    return nb::float_(reduction == Reduction::mean ? 1.0 / *divisor : 1.0);
}

// gain times the gradient of the sum of the rows' losses, by the logits. kept: what tensor_loss gave, or None.
nb::object tensor_loss_gradient(nb::handle x, nb::handle target, nb::handle weight, std::int64_t ignore_index,
                                double smoothing, double gain, nb::handle kept_object) {
    auto loss = Loss::of(x, target, weight, ignore_index, smoothing, false);
    if (!loss) return nb::none();
    Made out(loss->x.type, loss->x.axes, loss->x.sizes);
    Job job = row_job(Op::loss, {&loss->x, &out.view, &loss->against, nullptr}, loss->axis);
    loss->target.gain = gain;
    job.target = &loss->target;
    plan(job);
    if (kept_object.is_none()) {
        released(job.rows * job.length, [&] { return run_job_losses(job); });
        return std::move(out.tensor.object);
    }
    const auto kept = TensorView::of(kept_object);
    if (!kept || kept->type != ElementType::float64 || kept->axes != 1 || kept->stride(0) != sizeof(double) ||
        kept->size(0) != job.rows * (kept_state_size + kernels().blocks(job)))
        throw nb::value_error("kept states are not those of these logits");
    const auto* const states = reinterpret_cast<const double*>(kept->data);
    released(job.rows * job.length, [&] { run_gradients(job, states); });
    return std::move(out.tensor.object);
}

// The fields of row_stats; those of the target are None without one.
nb::object tensor_stats(nb::handle x_object, nb::handle target_object, std::int64_t dim) {
    const auto x = TensorView::of(x_object);
    const auto labels = target_object.is_none() ? std::nullopt : TensorView::of(target_object);
    if (!x || !is_float(*x) || x->axes == 0) return nb::none();
    if (!target_object.is_none() && (!labels || is_probability(labels->type))) return nb::none();
    const auto axis = axis_of(dim, x->axes);
    if (!axis) return nb::none();
    Job job = row_job(Op::stats, {&*x, nullptr, labels ? &*labels : nullptr, nullptr}, *axis);
    Target target{};
    if (labels) {
        target.type = labels->type, target.data = labels->data;
        set_ignored(target, std::nullopt);
        job.target = &target;
    }
    plan(job);
    std::int64_t sizes[max_axes];
    int axes = 0;
    for (int i = 0; i < x->axes; ++i)
        if (i != *axis) sizes[axes++] = x->size(i);
    Made logsumexp(x->type, axes, sizes), max(x->type, axes, sizes), entropy(x->type, axes, sizes),
        log_prob(x->type, axes, sizes), argmax(ElementType::int64, axes, sizes), rank(ElementType::int64, axes, sizes);
    const auto indices = [](const Made& made) { return reinterpret_cast<std::int64_t*>(made.view.data); };
    const Stats to{logsumexp.view.data, max.view.data,   entropy.view.data,
                   log_prob.view.data,  indices(argmax), indices(rank)};
    job.stats = &to;
    run_released(job, run_stats);
    const auto if_labels = [&](Made& made) { return labels ? nb::object(made.tensor.object) : nb::none(); };
    return nb::make_tuple(logsumexp.tensor.object, max.tensor.object, argmax.tensor.object, entropy.tensor.object,
                          if_labels(log_prob), if_labels(rank));
}

}  // namespace

void define_tensor_functions(nb::module_& m) {
    m.attr("SOFTMAX_BACKWARD") = int(Op::softmax_backward);
    m.attr("LOG_SOFTMAX_BACKWARD") = int(Op::log_softmax_backward);
    m.attr("NONE") = int(Reduction::none);
    m.attr("MEAN") = int(Reduction::mean);
    m.attr("SUM") = int(Reduction::sum);
    m.def("connect_tensors", &connect, "tensor_type"_a);
    m.def("tensor_map", &tensor_map, "op"_a, "x"_a, "dim"_a, "negate"_a);
    m.def("tensor_softmax", &tensor_softmax, "x"_a, "reduced"_a);
    m.def("tensor_logsumexp", &tensor_logsumexp, "x"_a, "reduced"_a, "keepdim"_a);
    m.def("tensor_backward", &tensor_backward, "op"_a, "grad"_a, "result"_a, "dim"_a);
    m.def("tensor_loss", &tensor_loss, "x"_a, "target"_a, "weight"_a.none(), "ignore_index"_a, "smoothing"_a,
          "log_probabilities"_a, "reduction"_a, "keep"_a);
    m.def("tensor_gain", &tensor_gain, "x"_a, "target"_a, "weight"_a.none(), "ignore_index"_a, "reduction"_a);
    m.def("tensor_loss_gradient", &tensor_loss_gradient, "x"_a, "target"_a, "weight"_a.none(), "ignore_index"_a,
          "smoothing"_a, "gain"_a, "kept"_a.none());
    m.def("tensor_stats", &tensor_stats, "x"_a, "target"_a.none(), "dim"_a);
}

}  // namespace normexp
