// The only file that knows Python: NumPy arrays to jobs, and nothing that the Python front could not have checked.
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

namespace nb = nanobind;
using namespace nb::literals;
using normexp::Axis;
using normexp::DType;
using normexp::Job;
using normexp::Op;

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

// `reduced` has a bit for each axis the function reduces over. out has the axes of x; a reduced one may be of length 1.
Job make_job(Op op, PyArrayObject* x, PyArrayObject* out, PyArrayObject* mask, std::uint64_t reduced, bool negate,
             double temperature) {
    const std::optional<DType> dtype = dtype_of(x);
    if (!dtype) throw nb::type_error("x must be float16, bfloat16, float32 or float64");
    const bool maps = op == Op::softmax || op == Op::log_softmax;
    Job job{};
    job.op = op, job.dtype = *dtype, job.negate = negate, job.temperature = temperature;
    job.x = PyArray_BYTES(x), job.out = PyArray_BYTES(out), job.mask = mask ? PyArray_BYTES(mask) : nullptr;
    const int axes = PyArray_NDIM(x);
    if (PyArray_NDIM(out) < axes || (mask && PyArray_NDIM(mask) != axes))
        throw nb::value_error("arrays differ in dimensions");
    for (int i = 0; i < axes; ++i) {
        const bool is_row = reduced >> i & 1;
        const npy_intp size = PyArray_DIM(x, i);
        if ((maps || !is_row) && PyArray_DIM(out, i) != size) throw nb::value_error("x and out differ in shape");
        if (mask && PyArray_DIM(mask, i) != size) throw nb::value_error("x and mask differ in shape");
        (is_row ? job.row[job.row_axes++] : job.outer[job.outer_axes++]) = {
            size, PyArray_STRIDE(x, i), maps || !is_row ? PyArray_STRIDE(out, i) : 0,
            mask ? PyArray_STRIDE(mask, i) : 0};
    }
    normexp::plan(job);
    return job;
}

// Below this many elements (some microseconds) giving the interpreter lock away costs more than it gives.
constexpr std::int64_t release_from = 1 << 12;

void run_released(const Job& job) {
    if (job.rows * job.length < release_from) {
        if (job.rows && job.length) normexp::run(job);
        return;
    }
    nb::gil_scoped_release release;
    normexp::run(job);
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

// The common call, softmax(x) of an ordinary array along one axis, without a detour through Python: None if it is not one.
nb::object quick(int op, nb::handle object, nb::handle axis_object, bool negate, double temperature) {
    if (!PyArray_CheckExact(object.ptr()) || !PyLong_CheckExact(axis_object.ptr())) return nb::none();
    auto* x = reinterpret_cast<PyArrayObject*>(object.ptr());
    const int axes = PyArray_NDIM(x);
    const long axis = PyLong_AsLong(axis_object.ptr());
    if (axis == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return nb::none();
    }
    if (axis < -axes || axis >= axes || !PyArray_ISALIGNED(x) || !dtype_of(x)) return nb::none();
    nb::object result = empty_like(object);
    auto* out = reinterpret_cast<PyArrayObject*>(result.ptr());
    run_released(
        make_job(Op(op), x, out, nullptr, std::uint64_t(1) << (axis < 0 ? axis + axes : axis), negate, temperature));
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
    run_released(make_job(Op(op), x_array, out_array, mask_array, reduced, negate, temperature));
}

// ---- losses and statistics ---------------------------------------------------------------------------------------------

using normexp::Stats;
using normexp::Target;
using normexp::TargetType;

TargetType target_type_of(PyArrayObject* array) {
    PyArray_Descr* descr = PyArray_DESCR(array);
    const int type = descr->type_num;
    const bool is_unsigned = PyTypeNum_ISUNSIGNED(type);
    if (PyArray_ISNBO(descr->byteorder) && PyTypeNum_ISINTEGER(type)) switch (PyDataType_ELSIZE(descr)) {
            case 1: return is_unsigned ? TargetType::uint8 : TargetType::int8;
            case 2: return is_unsigned ? TargetType::uint16 : TargetType::int16;
            case 4: return is_unsigned ? TargetType::uint32 : TargetType::int32;
            default: return is_unsigned ? TargetType::uint64 : TargetType::int64;
        }
    const std::optional<DType> dtype = dtype_of(array);
    if (!dtype) throw nb::type_error("target must be integers or one of the four float types");
    switch (*dtype) {
        case DType::float16: return TargetType::float16;
        case DType::bfloat16: return TargetType::bfloat16;
        case DType::float32: return TargetType::float32;
        default: return TargetType::float64;
    }
}

// One weight a class, padded as the engine wants it.
using Weights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
std::vector<double> padded(const std::optional<Weights>& weight, std::int64_t classes) {
    std::vector<double> copy;
    if (!weight) return copy;
    if (std::int64_t(weight->shape(0)) != classes) throw nb::value_error("as many weights as classes");
    copy.assign(weight->data(), weight->data() + classes);
    copy.resize(std::size_t((classes + 15) / 16 * 16));
    return copy;
}

// The axes of a job whose rows lie along one axis of x. Whatever comes one to a row has the other axes.
struct ByRow {
    PyArrayObject *x, *out, *target, *value;
};
Job row_job(Op op, const ByRow& arrays, int axis) {
    const std::optional<DType> dtype = dtype_of(arrays.x);
    const int axes = PyArray_NDIM(arrays.x);
    if (!dtype || axis < 0 || axis >= axes) throw nb::type_error("x must be a float array with such an axis");
    Job job{};
    job.op = op, job.dtype = *dtype, job.temperature = 1.0;
    job.x = PyArray_BYTES(arrays.x), job.out = arrays.out ? PyArray_BYTES(arrays.out) : nullptr;
    const bool labels = arrays.target && !normexp::is_probability(target_type_of(arrays.target));
    const auto check = [&](PyArrayObject* array, int dimensions) {
        if (array && PyArray_NDIM(array) != dimensions) throw nb::value_error("arrays differ in dimensions");
    };
    check(arrays.out, axes), check(arrays.target, labels ? axes - 1 : axes), check(arrays.value, axes - 1);
    for (int i = 0, other = 0; i < axes; ++i) {
        const bool is_row = i == axis;
        const npy_intp size = PyArray_DIM(arrays.x, i);
        const auto stride = [&](PyArrayObject* array, bool one_a_row) -> std::int64_t {
            if (!array || (one_a_row && is_row)) return 0;
            const int at = one_a_row ? other : i;
            if (PyArray_DIM(array, at) != size) throw nb::value_error("arrays differ in shape");
            return PyArray_STRIDE(array, at);
        };
        const Axis made{size, PyArray_STRIDE(arrays.x, i),   stride(arrays.out, false),
                        0,    stride(arrays.target, labels), stride(arrays.value, true)};
        (is_row ? job.row[job.row_axes++] : job.outer[job.outer_axes++]) = made;
        other += !is_row;
    }
    return job;
}

void set_ignored(Target& target, std::optional<std::int64_t> ignore_index) {
    target.ignores = ignore_index.has_value(), target.ignore_index = ignore_index.value_or(-1);
}

PyArrayObject* optional_array(nb::handle object, const char* what) {
    return object.is_none() ? nullptr : as_array(object, what);
}

// (the first row whose label is none, or -1; how many rows count; the sum of their weights)
std::tuple<std::int64_t, std::int64_t, double> count_labels(nb::handle target_object, std::int64_t classes,
                                                            std::optional<std::int64_t> ignore_index,
                                                            std::optional<Weights> weight) {
    PyArrayObject* array = as_array(target_object, "target must be an array");
    const std::vector<double> weights = padded(weight, classes);
    Target target{};
    target.type = target_type_of(array), target.data = PyArray_BYTES(array);
    set_ignored(target, ignore_index);
    target.weight = weight ? weights.data() : nullptr;
    if (normexp::is_probability(target.type)) throw nb::type_error("labels must be integers");
    Job job{};
    job.op = Op::loss, job.target = &target, job.row_axes = 1, job.row[0] = {1, 0, 0, 0};
    for (int i = 0; i < PyArray_NDIM(array); ++i) {
        job.outer[job.outer_axes] = {PyArray_DIM(array, i), 0, 0, 0};
        job.outer[job.outer_axes++].target = PyArray_STRIDE(array, i);
    }
    normexp::plan(job);
    if (!job.rows) return {-1, 0, 0.0};
    nb::gil_scoped_release release;
    const normexp::LabelCount count = normexp::count_labels(job, classes);
    return {count.bad_row, count.kept, count.weight};
}

// Writes each row's loss into value and its gradient into grad, unless those are None; returns the sum of the losses.
double losses(nb::handle x, nb::handle target_object, int axis, std::optional<Weights> weight,
              std::optional<std::int64_t> ignore_index, double smoothing, bool log_probabilities, double gain,
              nb::handle value, nb::handle grad) {
    const ByRow arrays{as_array(x, "x must be an array"), optional_array(grad, "grad must be an array"),
                       as_array(target_object, "target must be an array"),
                       optional_array(value, "value must be an array")};
    for (PyArrayObject* array : {arrays.out, arrays.value})
        if (array && (!PyArray_ISWRITEABLE(array) || dtype_of(array) != dtype_of(arrays.x)))
            throw nb::value_error("results must be writeable and of the dtype of x");
    Job job = row_job(Op::loss, arrays, axis);
    const std::vector<double> weights = padded(weight, job.row[0].size);
    Target target{};
    target.type = target_type_of(arrays.target), target.data = PyArray_BYTES(arrays.target);
    set_ignored(target, ignore_index);
    target.weight = weight ? weights.data() : nullptr, target.smoothing = smoothing, target.gain = gain;
    target.log_probabilities = log_probabilities;
    target.value = arrays.value ? PyArray_BYTES(arrays.value) : nullptr;
    job.target = &target;
    normexp::plan(job);
    if (!job.rows || !job.length) return 0.0;
    const auto run = [&] {
        const normexp::PlainSum sum = normexp::run_losses(job);
        return sum.hi - sum.hi == 0 ? sum.hi + sum.lo : sum.hi;
    };
    if (job.rows * job.length < release_from) return run();
    nb::gil_scoped_release release;
    return run();
}

// Fills arrays that the front has made for the purpose: contiguous, one element a row.
void stats(nb::handle x, nb::handle target_object, int axis, nb::handle logsumexp, nb::handle max, nb::handle argmax,
           nb::handle entropy, nb::handle log_prob, nb::handle rank) {
    const ByRow arrays{as_array(x, "x must be an array"), nullptr, optional_array(target_object, "target"), nullptr};
    Job job = row_job(Op::stats, arrays, axis);
    Target target{};
    if (arrays.target) {
        target.type = target_type_of(arrays.target), target.data = PyArray_BYTES(arrays.target);
        set_ignored(target, std::nullopt);
        if (normexp::is_probability(target.type)) throw nb::type_error("labels must be integers");
        job.target = &target;
    }
    normexp::plan(job);
    const auto data = [&](nb::handle object, bool index) -> char* {
        PyArrayObject* array = as_array(object, "results must be arrays");
        const bool right = index ? PyArray_TYPE(array) == NPY_INT64 : dtype_of(array) == dtype_of(arrays.x);
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
    const ByRow arrays{as_array(x, "x must be an array"), nullptr, as_array(target_object, "target must be an array"),
                       nullptr};
    Job job = row_job(Op::evaluate, arrays, PyArray_NDIM(arrays.x) - 1);
    Target target{};
    target.type = target_type_of(arrays.target), target.data = PyArray_BYTES(arrays.target);
    set_ignored(target, ignore_index);
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
    m.def("quick", &quick, "op"_a, "x"_a, "axis"_a.none(), "negate"_a, "temperature"_a);
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
    m.def("level", [] { return normexp::kernels().name; });
    m.def("levels", [] {
        std::vector<std::string> names;
        for (int i = 0; const char* name = normexp::level_names(i); ++i) names.emplace_back(name);
        return names;
    });
    m.def("thread_count", &normexp::thread_count);
    m.def("set_thread_count", &normexp::set_thread_count, "count"_a);
}
