// What a tensor library lets others call without compiling against it: DLPack's C exchange interface, version 1.3
// (https://dmlc.github.io/dlpack). Binary layout only, under names of our own; PyTorch has it since 2.10, as the capsule
// torch.Tensor.__dlpack_c_exchange_api__.
#pragma once

#include <cstdint>

namespace normexp::dlpack {

enum class DeviceType : std::int32_t { cpu = 1 };
struct Device {
    DeviceType type;
    std::int32_t index;
};

enum TypeCode : std::uint8_t { signed_integer = 0, unsigned_integer = 1, ieee_float = 2, bfloat = 4 };
struct Type {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};

struct Tensor {
    void* data;
    Device device;
    std::int32_t axes;
    Type type;
    std::int64_t *sizes, *strides;  // strides in elements
    std::uint64_t byte_offset;
};

struct Version {
    std::uint32_t major, minor;
};
constexpr Version version{1, 3};

// A tensor that owns its memory through `deleter`.
struct ManagedTensor {
    Version version;
    void* owner;
    void (*deleter)(ManagedTensor*);
    std::uint64_t flags;
    Tensor tensor;
};

struct Header {
    Version version;
    const Header* older;
};

// Those that give an int: 0, or -1 with a Python exception set.
struct Exchange {
    Header header;
    // A new tensor of the prototype's type, sizes and device; on failure calls the function given last.
    int (*allocate)(Tensor* prototype, ManagedTensor**, void* context, void (*)(void*, const char*, const char*));
    int (*export_owned)(void* object, ManagedTensor**);
    int (*import_owned)(ManagedTensor*, void** object);
    // Fills a description of the object, which keeps the memory.
    int (*describe)(void* object, Tensor*);
    int (*current_stream)(DeviceType, std::int32_t index, void** stream);
};

constexpr char attribute[] = "__dlpack_c_exchange_api__";
constexpr char capsule_name[] = "dlpack_exchange_api";

}  // namespace normexp::dlpack
