// Losses of logits that are a rounded product, of PyTorch's tensors: for linear_cross_entropy in bfloat16.
#include <nanobind/nanobind.h>

#include <stdexcept>

#include "released.hpp"
#include "tensor_bindings.hpp"
#include "tensors.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace normexp {
namespace {

void require(bool fits, const char* otherwise) {
    if (!fits) throw nb::value_error(otherwise);
}

TensorView view_of(nb::handle object, ElementType type, int axes, const char* otherwise) {
    const auto view = TensorView::of(object);
    require(view && view->type == type && view->axes == axes, otherwise);
    return *view;
}
std::optional<TensorView> optional_of(nb::handle object, ElementType type, std::int64_t size, const char* otherwise) {
    if (object.is_none()) return std::nullopt;
    const TensorView view = view_of(object, type, 1, otherwise);
    require(view.size(0) == size, otherwise);
    return view;
}

bool rows_are_contiguous(const TensorView& view) {
    return view.size(1) <= 1 || view.stride(1) == element_bytes(view.type);
}

// Returns the sum of the rows' losses by labels, and writes each into `each`; with_gradient: gain times upstream times the
// gradient takes the place of the logits. A label that is no class counts for nothing: the front has checked them.
double product_losses(nb::handle logits_object, nb::handle hidden_object, nb::handle weight_object,
                      nb::handle bias_object, nb::handle labels_object, nb::handle class_weight_object, double gain,
                      nb::handle upstream_object, nb::handle each_object, bool with_gradient) {
    constexpr ElementType rounded = ElementType::bfloat16;
    const TensorView logits = view_of(logits_object, rounded, 2, "logits must be bfloat16, rows by classes");
    const TensorView hidden = view_of(hidden_object, rounded, 2, "hidden must be bfloat16, rows by features");
    const TensorView weight = view_of(weight_object, rounded, 2, "weight must be bfloat16, classes by features");
    const std::int64_t rows = logits.size(0), classes = logits.size(1), features = hidden.size(1);
    require(hidden.size(0) == rows && weight.size(0) == classes && weight.size(1) == features,
            "shapes of hidden, weight and logits do not go together");
    require(rows_are_contiguous(logits) && rows_are_contiguous(hidden) && rows_are_contiguous(weight),
            "rows of hidden, weight and logits must be contiguous");
    const TensorView labels = view_of(labels_object, ElementType::int64, 1, "labels must be int64, one a row");
    const auto bias = optional_of(bias_object, rounded, classes, "bias must be bfloat16, one a class");
    const auto class_weight =
        optional_of(class_weight_object, ElementType::float64, classes, "class_weight must be float64, one a class");
    const auto upstream =
        optional_of(upstream_object, ElementType::float32, rows, "upstream must be float32, one a row");
    const auto each = optional_of(each_object, ElementType::float32, rows, "each must be float32, one a row");
    require(!upstream || upstream->stride(0) == sizeof(float) || rows == 1, "upstream must be contiguous");
    require(!class_weight || class_weight->stride(0) == sizeof(double) || classes == 1,
            "class_weight must be contiguous");
    if (!rows || !classes) return 0.0;

    Target target{};
    std::vector<double> weights;
    if (class_weight) weights = padded(reinterpret_cast<const double*>(class_weight->data), classes);
    target.type = labels.type, target.data = labels.data, target.gain = gain;
    target.weight = class_weight ? weights.data() : nullptr;
    target.value = each ? each->data : nullptr;
    set_ignored(target, std::nullopt);
    Job job = row_job(Op::loss, {&logits, with_gradient ? &logits : nullptr, &labels, each ? &*each : nullptr}, 1);
    job.target = &target;
    plan(job);
    // One after the other, in their place: logits that were just computed are in the cache, and products read them next.
    job.across = false, job.lead = 0, job.stream = false;
    const Product product{hidden.data,
                          weight.data,
                          bias ? bias->data : nullptr,
                          hidden.stride(0),
                          weight.stride(0),
                          bias ? bias->stride(0) : 0,
                          features,
                          upstream ? reinterpret_cast<const float*>(upstream->data) : nullptr};
    return released(job.rows * job.length, [&] {
        const PlainSum sum = run_product_losses(job, product);
        return sum.hi - sum.hi == 0 ? sum.hi + sum.lo : sum.hi;
    });
}

}  // namespace

void define_product_functions(nb::module_& m) {
    m.def("product_losses", &product_losses, "logits"_a, "hidden"_a, "weight"_a, "bias"_a.none(), "labels"_a,
          "class_weight"_a.none(), "gain"_a, "upstream"_a.none(), "each"_a.none(), "with_gradient"_a);
}

}  // namespace normexp
