// The only file that knows Python: NumPy arrays to jobs, and nothing that the Python front could not have checked.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include <cstring>
#include <optional>

#include "job.hpp"
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

void run_released(const Job& job) {
    // Below this many elements (some microseconds) giving the interpreter lock away costs more than it gives.
    constexpr std::int64_t release_from = 1 << 12;
    if (job.rows * job.length < release_from) {
        if (job.rows && job.length) normexp::run(job);
        return;
    }
    nb::gil_scoped_release release;
    normexp::run(job);
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
    nb::object result = nb::steal(PyArray_NewLikeArray(x, NPY_KEEPORDER, nullptr, 0));
    if (!result) throw nb::python_error();
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
    m.def("quick", &quick, "op"_a, "x"_a, "axis"_a.none(), "negate"_a, "temperature"_a);
    m.def("apply", &apply, "op"_a, "x"_a, "out"_a, "where"_a.none(), "reduced"_a, "negate"_a, "temperature"_a);
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
