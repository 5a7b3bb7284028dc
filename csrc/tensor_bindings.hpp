// PyTorch's tensors to jobs.
#pragma once

#include <nanobind/nanobind.h>

namespace normexp {

void define_tensor_functions(nanobind::module_&);

}  // namespace normexp
