// PyTorch's tensors to jobs.
#pragma once

#include <nanobind/nanobind.h>

namespace normexp {

void define_tensor_functions(nanobind::module_&);
void define_product_functions(nanobind::module_&);  // product_bindings.cpp

}  // namespace normexp
