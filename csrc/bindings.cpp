// The engine as a Python module, for NumPy arrays (tensor_bindings.cpp: for PyTorch's tensors): arrays to jobs, and nothing
// that the Python front could not have checked.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include <cstring>
#include <optional>
#include <tuple>

#include "job.hpp"
#include "memory_pool.hpp"
#include "parallel.hpp"
#include "released.hpp"
#include "tensor_bindings.hpp"
#include "views.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using normexp::DType;
using normexp::ElementType;
using normexp::Job;
using normexp::Op;
using normexp::released;
using normexp::View;

namespace {

// bfloat16 is no type of NumPy's own: ml_dtypes registers it, under a number that differs from process to process.
std::optional<DType> dtype_of(PyArrayObject* array) {
    PyArray_Descr* descr = PyArray_DESCR(array);
    if (!PyArray_ISNBO(descr->byteorder)) return std::nullopt;
    switch (descr->type_num) {
        case NPY_HALF: return DType::float16;
        case NPY_FLOAT: return DType::float32;
        case NPY_DOUBLE: return DType::float64;
        default: break;
    }
    if (!PyTypeNum_ISUSERDEF(descr->type_num) || PyDataType_ELSIZE(descr) != 2) return std::nullopt;
    const char* name = std::strrchr(descr->typeobj->tp_name, '.');
    if (std::strcmp(name ? name + 1 : descr->typeobj->tp_name, "bfloat16") != 0) return std::nullopt;
    return DType::bfloat16;
}

PyArrayObject* as_array(nb::handle object, const char* what) {
    if (!PyArray_Check(object.ptr())) throw nb::type_error(what);
    return reinterpret_cast<PyArrayObject*>(object.ptr());
}

ElementType type_of(PyArrayObject* array, const char* what) {
    PyArray_Descr* descr = PyArray_DESCR(array);
    const int type = descr->type_num;
    if (type == NPY_BOOL) return ElementType::uint8;
    const bool is_unsigned = PyTypeNum_ISUNSIGNED(type);
    if (PyArray_ISNBO(descr->byteorder) && PyTypeNum_ISINTEGER(type)) switch (PyDataType_ELSIZE(descr)) {
            case 1: return is_unsigned ? ElementType::uint8 : ElementType::int8;
            case 2: return is_unsigned ? ElementType::uint16 : ElementType::int16;
            case 4: return is_unsigned ? ElementType::uint32 : ElementType::int32;
            default: return is_unsigned ? ElementType::uint64 : ElementType::int64;
        }
    const std::optional<DType> dtype = dtype_of(array);
    if (!dtype) throw nb::type_error(what);
    return normexp::element_type(*dtype);
}

View view_of(PyArrayObject* array, const char* what) {
    static_assert(sizeof(npy_intp) == sizeof(std::int64_t));
    const auto numbers = [](const npy_intp* p) { return reinterpret_cast<const std::int64_t*>(p); };
    return {PyArray_BYTES(array),
            type_of(array, what),
            PyArray_NDIM(array),
            numbers(PyArray_DIMS(array)),
            numbers(PyArray_STRIDES(array)),
            1};
}
constexpr char float_types[] = "x must be float16, bfloat16, float32 or float64";
View logits_view(PyArrayObject* array) {
    if (!dtype_of(array)) throw nb::type_error(float_types);
    return view_of(array, float_types);
}
std::optional<View> optional_view(PyArrayObject* array, const char* what) {
    return array ? std::optional(view_of(array, what)) : std::nullopt;
}
const View* pointer(const std::optional<View>& view) { return view ? &*view : nullptr; }

void run_released(const Job& job) {
    if (!job.rows || !job.length) return;
    released(job.rows * job.length, [&] { normexp::run(job); });
}

// An uninitialized array like x. Large contiguous ones lie in the pool's memory, which the capsule gives back.
nb::object empty_like(nb::handle object) {
    PyArrayObject* x = as_array(object, "x must be an array");
    const auto bytes = std::size_t(PyArray_NBYTES(x));
    if (bytes < normexp::pooled_from_bytes || normexp::pool_limit() == 0 || !PyArray_IS_C_CONTIGUOUS(x)) {
        nb::object result = nb::steal(PyArray_NewLikeArray(x, NPY_KEEPORDER, nullptr, 0));
        if (!result) throw nb::python_error();
        return result;
    }
    auto* block = new normexp::MemoryBlock(normexp::take_memory(bytes));
    if (!block->data) {
        delete block;
        throw std::bad_alloc();
    }
    nb::capsule owner(block, [](void* p) noexcept {
        auto* given = static_cast<normexp::MemoryBlock*>(p);
        normexp::give_memory(*given);
        delete given;
    });
    PyArray_Descr* descr = PyArray_DESCR(x);
    Py_INCREF(descr);  // the new array's
    nb::object result = nb::steal(PyArray_NewFromDescr(&PyArray_Type, descr, PyArray_NDIM(x), PyArray_DIMS(x), nullptr,
                                                       block->data, NPY_ARRAY_CARRAY, nullptr));
    if (!result) throw nb::python_error();
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(result.ptr()), owner.release().ptr()) < 0)
        throw nb::python_error();
    return result;
}

// Whether a plain array can take the results of another, over it or apart from it. (Whatever else can is found in Python.)
bool plainly_takes(nb::handle object, PyArrayObject* x) {
    if (!PyArray_CheckExact(object.ptr())) return false;
    auto* out = reinterpret_cast<PyArrayObject*>(object.ptr());
    if (PyArray_TYPE(out) != PyArray_TYPE(x) || PyArray_NDIM(out) != PyArray_NDIM(x) ||
        !PyArray_CompareLists(PyArray_DIMS(out), PyArray_DIMS(x), PyArray_NDIM(x)) || !PyArray_ISCARRAY(out) ||
        !PyArray_IS_C_CONTIGUOUS(x))
        return false;
    const auto to = std::uintptr_t(PyArray_BYTES(out)), from = std::uintptr_t(PyArray_BYTES(x));
    const auto bytes = std::uintptr_t(PyArray_NBYTES(x));
    return to == from || to + bytes <= from || from + bytes <= to;
}

// The common call, softmax(x) of an ordinary array along one axis, without a detour through Python: None if it is not one.
nb::object quick(int op, nb::handle object, nb::handle axis_object, bool negate, double temperature, nb::handle into) {
    if (!PyArray_CheckExact(object.ptr()) || !PyLong_CheckExact(axis_object.ptr())) return nb::none();
    auto* x = reinterpret_cast<PyArrayObject*>(object.ptr());
    const int axes = PyArray_NDIM(x);
    const long axis = PyLong_AsLong(axis_object.ptr());
    if (axis == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return nb::none();
    }
    if (axis < -axes || axis >= axes || !PyArray_ISALIGNED(x) || !dtype_of(x)) return nb::none();
    if (!into.is_none() && !plainly_takes(into, x)) return nb::none();
    nb::object result = into.is_none() ? empty_like(object) : nb::borrow(into);
    auto* out = reinterpret_cast<PyArrayObject*>(result.ptr());
    const std::uint64_t reduced = std::uint64_t(1) << (axis < 0 ? axis + axes : axis);
    run_released(normexp::make_job(Op(op), logits_view(x), logits_view(out), nullptr, reduced, negate, temperature));
    return result;
}

void apply(int op, nb::handle x, nb::handle out, nb::handle mask, std::uint64_t reduced, bool negate,
           double temperature) {
    PyArrayObject* mask_array = mask.is_none() ? nullptr : as_array(mask, "where must be an array or None");
    if (mask_array && PyArray_TYPE(mask_array) != NPY_BOOL) throw nb::type_error("where must be boolean");
    PyArrayObject* out_array = as_array(out, "out must be an array");
    PyArrayObject* x_array = as_array(x, "x must be an array");
    if (!PyArray_ISWRITEABLE(out_array)) throw nb::value_error("out must be writeable");
    if (Op(op) == Op::state) {
        const int last = PyArray_NDIM(out_array) - 1;
        if (PyArray_TYPE(out_array) != NPY_DOUBLE || last != PyArray_NDIM(x_array) ||
            PyArray_DIM(out_array, last) != 3 || PyArray_STRIDE(out_array, last) != 8)
            throw nb::value_error("states are float64, three to a row");
    } else if (PyArray_TYPE(out_array) != PyArray_TYPE(x_array) || PyArray_NDIM(out_array) != PyArray_NDIM(x_array)) {
        throw nb::value_error("x and out differ in type or dimensions");
    }
    const std::optional<View> mask_view = optional_view(mask_array, "where must be boolean");
    run_released(normexp::make_job(Op(op), logits_view(x_array), logits_view(out_array), pointer(mask_view), reduced,
                                   negate, temperature));
}

// ---- losses and statistics ---------------------------------------------------------------------------------------------

using normexp::Stats;
using normexp::Target;

using Weights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
std::vector<double> padded(const std::optional<Weights>& weight, std::int64_t classes) {
    if (!weight) return {};
    if (std::int64_t(weight->shape(0)) != classes) throw nb::value_error("as many weights as classes");
    return normexp::padded(weight->data(), classes);
}

constexpr char target_types[] = "target must be integers or one of the four float types";
View target_view(nb::handle target) { return view_of(as_array(target, "target must be an array"), target_types); }

PyArrayObject* optional_array(nb::handle object, const char* what) {
    return object.is_none() ? nullptr : as_array(object, what);
}

// (the first row whose label is none, or -1; how many rows count; the sum of their weights)
std::tuple<std::int64_t, std::int64_t, double> count_labels(nb::handle target_object, std::int64_t classes,
                                                            std::optional<std::int64_t> ignore_index,
                                                            std::optional<Weights> weight) {
    const View labels = target_view(target_object);
    const std::vector<double> weights = padded(weight, classes);
    Target target{};
    target.type = labels.type, target.data = labels.data;
    normexp::set_ignored(target, ignore_index);
    target.weight = weight ? weights.data() : nullptr;
    if (normexp::is_probability(target.type)) throw nb::type_error("labels must be integers");
    const Job job = normexp::label_job(target, labels);
    if (!job.rows) return {-1, 0, 0.0};
    const normexp::LabelCount count = released(job.rows, [&] { return normexp::count_labels(job, classes); });
    return {count.bad_row, count.kept, count.weight};
}

// Writes each row's loss into value and its gradient into grad, unless those are None; returns the sum of the losses.
double losses(nb::handle x, nb::handle target_object, int axis, std::optional<Weights> weight,
              std::optional<std::int64_t> ignore_index, double smoothing, bool log_probabilities, double gain,
              nb::handle value, nb::handle grad) {
    PyArrayObject* const logits = as_array(x, "x must be an array");
    PyArrayObject* const each = optional_array(value, "value must be an array");
    PyArrayObject* const gradient = optional_array(grad, "grad must be an array");
    for (PyArrayObject* array : {each, gradient})
        if (array && (!PyArray_ISWRITEABLE(array) || dtype_of(array) != dtype_of(logits)))
            throw nb::value_error("results must be writeable and of the dtype of x");
    const View x_view = logits_view(logits), against = target_view(target_object);
    const std::optional<View> value_view = optional_view(each, float_types), out = optional_view(gradient, float_types);
    Job job = normexp::row_job(Op::loss, {&x_view, pointer(out), &against, pointer(value_view)}, axis);
    const std::vector<double> weights = padded(weight, job.row[0].size);
    Target target{};
    target.type = against.type, target.data = against.data;
    normexp::set_ignored(target, ignore_index);
    target.weight = weight ? weights.data() : nullptr, target.smoothing = smoothing, target.gain = gain;
    target.log_probabilities = log_probabilities;
    target.value = each ? PyArray_BYTES(each) : nullptr;
    job.target = &target;
    normexp::plan(job);
    if (!job.rows || !job.length) return 0.0;
    return released(job.rows * job.length, [&] { return normexp::run_job_losses(job); });
}

// Fills arrays that the front has made for the purpose: contiguous, one element a row.
void stats(nb::handle x, nb::handle target_object, int axis, nb::handle logsumexp, nb::handle max, nb::handle argmax,
           nb::handle entropy, nb::handle log_prob, nb::handle rank) {
    const View logits = logits_view(as_array(x, "x must be an array"));
    const std::optional<View> labels = optional_view(optional_array(target_object, "target"), target_types);
    Job job = normexp::row_job(Op::stats, {&logits, nullptr, pointer(labels), nullptr}, axis);
    Target target{};
    if (labels) {
        target.type = labels->type, target.data = labels->data;
        normexp::set_ignored(target, std::nullopt);
        if (normexp::is_probability(target.type)) throw nb::type_error("labels must be integers");
        job.target = &target;
    }
    normexp::plan(job);
    const auto data = [&](nb::handle object, bool index) -> char* {
        PyArrayObject* array = as_array(object, "results must be arrays");
        const bool right = type_of(array, "results") == (index ? ElementType::int64 : logits.type);
        if (!right || !PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISWRITEABLE(array) || PyArray_SIZE(array) != job.rows)
            throw nb::value_error("results must be contiguous, one element a row");
        return PyArray_BYTES(array);
    };
    const Stats to{data(logsumexp, false),
                   data(max, false),
                   data(entropy, false),
                   data(log_prob, false),
                   reinterpret_cast<std::int64_t*>(data(argmax, true)),
                   reinterpret_cast<std::int64_t*>(data(rank, true))};
    job.stats = &to;
    if (!job.rows || !job.length) return;
    nb::gil_scoped_release release;
    normexp::run_stats(job);
}

// The fields of Evaluation, in order; labels that are `ignore_index` apart.
nb::tuple evaluate(nb::handle x, nb::handle target_object, std::optional<std::int64_t> ignore_index,
                   double temperature) {
    const View logits = logits_view(as_array(x, "x must be an array")), labels = target_view(target_object);
    Job job = normexp::row_job(Op::evaluate, {&logits, nullptr, &labels, nullptr}, logits.axes - 1);
    Target target{};
    target.type = labels.type, target.data = labels.data;
    normexp::set_ignored(target, ignore_index);
    if (normexp::is_probability(target.type)) throw nb::type_error("labels must be integers");
    job.target = &target, job.temperature = temperature;
    normexp::plan(job);
    normexp::Evaluation sums;
    if (job.rows && job.length) {
        nb::gil_scoped_release release;
        sums = normexp::run_evaluate(job);
    }
    const auto list = [](const auto& values) { return std::vector<double>(std::begin(values), std::end(values)); };
    return nb::make_tuple(sums.bad_row, sums.rows, sums.loss, sums.entropy, sums.brier, sums.top1, sums.top5,
                          sums.log_sum, sums.label_distance, list(sums.cumulant), list(sums.bin_rows),
                          list(sums.bin_confidence), list(sums.bin_right));
}

// ---- LogSumExp -----------------------------------------------------------------------------------------------------------

using States = nb::ndarray<double, nb::ndim<2>, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Values = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void merge_states(States a, States b, States out) {
    if (a.shape(0) != b.shape(0) || a.shape(0) != out.shape(0)) throw nb::value_error("different numbers of states");
    normexp::kernels().merge_states(a.data(), b.data(), out.data(), std::int64_t(a.shape(0)));
}
void state_values(States states, Values out) {
    if (states.shape(0) != out.shape(0)) throw nb::value_error("as many values as states");
    normexp::kernels().state_values(states.data(), out.data(), std::int64_t(states.shape(0)));
}

// NumPy cannot import bfloat16 through DLPack: take such an array as the 16-bit words it consists of.
nb::ndarray<nb::numpy, std::uint16_t> bfloat16_words(nb::ndarray<nb::ro, nb::device::cpu> array) {
    if (array.dtype() != nb::dlpack::dtype{std::uint8_t(nb::dlpack::dtype_code::Bfloat), 16, 1})
        throw nb::type_error("not bfloat16");
    std::vector<std::size_t> shape(array.ndim());
    std::vector<std::int64_t> strides(array.ndim());
    for (std::size_t i = 0; i < array.ndim(); ++i) shape[i] = array.shape(i), strides[i] = array.stride(i);
    return {const_cast<void*>(array.data()), array.ndim(), shape.data(), nb::find(array), strides.data()};
}

}  // namespace

static int import_numpy() {
    import_array1(-1);
    return 0;
}

NB_MODULE(_engine, m) {
    m.doc() = "The CPU engine. Use it through normexp: nothing here checks what a person may get wrong.";
    if (import_numpy() < 0) throw nb::python_error();
    m.attr("SOFTMAX") = int(Op::softmax);
    m.attr("LOG_SOFTMAX") = int(Op::log_softmax);
    m.attr("LOGSUMEXP") = int(Op::logsumexp);
    m.attr("STATE") = int(Op::state);
    m.def("empty_like", &empty_like, "x"_a);
    m.def("pool_limit", &normexp::pool_limit);
    m.def("quick", &quick, "op"_a, "x"_a.none(), "axis"_a.none(), "negate"_a, "temperature"_a, "out"_a.none());
    m.def("apply", &apply, "op"_a, "x"_a, "out"_a, "where"_a.none(), "reduced"_a, "negate"_a, "temperature"_a);
    m.def("count_labels", &count_labels, "target"_a, "classes"_a, "ignore_index"_a.none(), "weight"_a.none());
    m.def("losses", &losses, "x"_a, "target"_a, "axis"_a, "weight"_a.none(), "ignore_index"_a.none(), "smoothing"_a,
          "log_probabilities"_a, "gain"_a, "value"_a.none(), "grad"_a.none());
    m.def("stats", &stats, "x"_a, "target"_a.none(), "axis"_a, "logsumexp"_a, "max"_a, "argmax"_a, "entropy"_a,
          "log_prob"_a, "rank"_a);
    m.def("evaluate", &evaluate, "x"_a, "target"_a, "ignore_index"_a.none(), "temperature"_a);
    m.def("merge_states", &merge_states, "a"_a, "b"_a, "out"_a);
    m.def("state_values", &state_values, "states"_a, "out"_a);
    m.def("bfloat16_words", &bfloat16_words, "array"_a);
    normexp::define_tensor_functions(m);
    normexp::define_product_functions(m);
    m.def("level", [] { return normexp::kernels().name; });
    m.def("levels", [] {
        std::vector<std::string> names;
        for (int i = 0; const char* name = normexp::level_names(i); ++i) names.emplace_back(name);
        return names;
    });
    m.def("thread_count", &normexp::thread_count);
    m.def("set_thread_count", &normexp::set_thread_count, "count"_a);
}
