// PyTorch's tensors, read and made through DLPack's exchange interface (dlpack_exchange.hpp).
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "dlpack_exchange.hpp"
#include "views.hpp"

namespace normexp {

// Reads the interface of torch.Tensor, once, before all else.
void connect(nanobind::handle tensor_type);

// What a tensor is: nothing if it is none of PyTorch's, not in CPU memory, or of a type the engine does not know.
class TensorView : public View {
public:
    static std::optional<TensorView> of(nanobind::handle object);
};

// A new contiguous tensor, and where its elements lie. Large ones take memory from the pool.
struct NewTensor {
    nanobind::object object;
    char* data;
};
NewTensor new_tensor(ElementType, int axes, const std::int64_t* sizes);

// Bytes in one element.
int element_bytes(ElementType);
// One element of a float type.
double load_float(ElementType, const char* from);
// A number, rounded once to a float type, where a tensor keeps it.
void store_rounded(ElementType, char* to, double value);

}  // namespace normexp
