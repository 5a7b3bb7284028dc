#include "tensors.hpp"

#include <cmath>
#include <cstring>
#include <memory>
#include <new>

#include "memory_pool.hpp"

namespace nb = nanobind;

namespace normexp {
namespace {

const dlpack::Exchange* exchange = nullptr;

// The type of a tensor's elements, both ways.
constexpr struct {
    ElementType type;
    std::uint8_t code, bits;
} types[] = {
    {ElementType::float32, dlpack::ieee_float, 32},   {ElementType::int64, dlpack::signed_integer, 64},
    {ElementType::bfloat16, dlpack::bfloat, 16},      {ElementType::float16, dlpack::ieee_float, 16},
    {ElementType::float64, dlpack::ieee_float, 64},   {ElementType::uint8, dlpack::unsigned_integer, 8},
    {ElementType::int8, dlpack::signed_integer, 8},   {ElementType::int16, dlpack::signed_integer, 16},
    {ElementType::int32, dlpack::signed_integer, 32}, {ElementType::uint16, dlpack::unsigned_integer, 16},
    {ElementType::uint32, dlpack::unsigned_integer, 32}, {ElementType::uint64, dlpack::unsigned_integer, 64},
};

dlpack::Type dlpack_type(ElementType wanted) {
    for (const auto& [type, code, bits] : types)
        if (type == wanted) return {code, bits, 1};
    throw std::bad_alloc();  // the table has them all
}

// A tensor in the pool's memory. Sizes and strides live as long as it does.
struct Pooled {
    dlpack::ManagedTensor managed;
    MemoryBlock block;
    std::int64_t sizes[max_axes], strides[max_axes];
};

dlpack::ManagedTensor* in_pool(const dlpack::Tensor& like, std::size_t bytes) {
    auto pooled = std::make_unique<Pooled>();
    pooled->block = take_memory(bytes);
    if (!pooled->block.data) throw std::bad_alloc();
    dlpack::Tensor& tensor = pooled->managed.tensor;
    tensor = like;
    tensor.data = pooled->block.data, tensor.sizes = pooled->sizes, tensor.strides = pooled->strides;
    std::int64_t stride = 1;
    for (int i = like.axes - 1; i >= 0; --i) {
        pooled->sizes[i] = like.sizes[i], pooled->strides[i] = stride;
        stride *= like.sizes[i];
    }
    pooled->managed.version = dlpack::version;
    pooled->managed.owner = pooled.get();
    pooled->managed.deleter = [](dlpack::ManagedTensor* self) {
        auto* const given = static_cast<Pooled*>(self->owner);
        give_memory(given->block);
        delete given;
    };
    return &pooled.release()->managed;
}

void set_error(void*, const char*, const char*) {}

}  // namespace

void connect(nb::handle tensor_type) {
    const nb::object capsule = nb::getattr(tensor_type, dlpack::attribute);
    const auto* found = static_cast<const dlpack::Header*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::capsule_name));
    if (!found) throw nb::python_error();
    while (found && found->version.major != dlpack::version.major) found = found->older;
    exchange = reinterpret_cast<const dlpack::Exchange*>(found);
    if (exchange && !exchange->describe) exchange = nullptr;
    if (!exchange) throw nb::type_error("PyTorch speaks no version of DLPack's exchange interface that normexp knows");
}

std::optional<TensorView> TensorView::of(nb::handle object) {
    dlpack::Tensor tensor;
    if (!exchange || exchange->describe(object.ptr(), &tensor) != 0) {
        PyErr_Clear();
        return std::nullopt;
    }
    if (tensor.device.type != dlpack::DeviceType::cpu || tensor.type.lanes != 1 || tensor.axes > max_axes)
        return std::nullopt;
    for (const auto& [type, code, bits] : types)
        if (tensor.type.code == code && tensor.type.bits == bits) {
            TensorView view;
            static_cast<View&>(view) = {static_cast<char*>(tensor.data) + tensor.byte_offset, type, tensor.axes,
                                        tensor.sizes, tensor.strides, bits / 8};
            return view;
        }
    return std::nullopt;
}

NewTensor new_tensor(ElementType type, int axes, const std::int64_t* sizes) {
    dlpack::Tensor like{};
    like.device = {dlpack::DeviceType::cpu, 0};
    like.axes = axes, like.type = dlpack_type(type), like.sizes = const_cast<std::int64_t*>(sizes);
    std::size_t bytes = like.type.bits / 8;
    for (int i = 0; i < axes; ++i) bytes *= std::size_t(sizes[i]);
    dlpack::ManagedTensor* made = nullptr;
    if (bytes >= pooled_from_bytes && pool_limit() != 0)
        made = in_pool(like, bytes);
    else if (exchange->allocate(&like, &made, nullptr, set_error) != 0)
        throw std::bad_alloc();
    char* const data = static_cast<char*>(made->tensor.data) + made->tensor.byte_offset;
    void* object = nullptr;
    if (exchange->import_owned(made, &object) != 0) throw nb::python_error();
    return {nb::steal(static_cast<PyObject*>(object)), data};
}

int element_bytes(ElementType type) { return dlpack_type(type).bits / 8; }

// Of a half type with p bits of significand and 2^least for its smallest number.
static double half_value(std::uint16_t bits, int p, int least, unsigned infinity) {
    const unsigned magnitude = bits & 0x7FFFu, field = magnitude >> (p - 1), low = magnitude & ((1u << (p - 1)) - 1);
    double size = field ? std::ldexp(double(low | 1u << (p - 1)), least + int(field) - 1) : std::ldexp(double(low), least);
    if (magnitude >= infinity) size = magnitude == infinity ? HUGE_VAL : NAN;
    return bits & 0x8000u ? -size : size;
}

double load_float(ElementType type, const char* from) {
    const auto load = [from]<class T>(T value) {
        std::memcpy(&value, from, sizeof value);
        return value;
    };
    switch (type) {
        case ElementType::float32: return double(load(float{}));
        case ElementType::float16: return half_value(load(std::uint16_t{}), 11, -24, 0x7C00);
        case ElementType::bfloat16: return half_value(load(std::uint16_t{}), 8, -133, 0x7F80);
        default: return load(double{});
    }
}

static std::uint16_t half_bits(double value, int p, int least, unsigned infinity) {
    if (value != value) return std::uint16_t(infinity | 1u << (p - 2));
    int exponent = 0;
    std::frexp(value, &exponent);  // |value| < 2^exponent, unless it is 0 or infinite
    const bool normal = value != 0 && std::isfinite(value) && exponent - p > least;
    const int last = normal ? exponent - p : least;
    const double units = std::fmin(std::nearbyint(std::ldexp(std::fabs(value), -last)), 0x1p20);
    // A significand that rounds up to 2^p carries into the exponent, as it should.
    const unsigned bits = (unsigned(last - least) << (p - 1)) + unsigned(units);
    return std::uint16_t((bits < infinity ? bits : infinity) | (std::signbit(value) ? 0x8000u : 0u));
}

void store_rounded(ElementType type, char* to, double value) {
    const auto store = [to](auto rounded) { std::memcpy(to, &rounded, sizeof rounded); };
    switch (type) {
        case ElementType::float32: return store(float(value));
        case ElementType::float16: return store(half_bits(value, 11, -24, 0x7C00));
        case ElementType::bfloat16: return store(half_bits(value, 8, -133, 0x7F80));
        default: return store(value);
    }
}

}  // namespace normexp
