// Runs work on `elements` numbers without the interpreter lock, if there is enough of it.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

namespace normexp {

// Below this many elements (some microseconds) giving the interpreter lock away costs more than it gives.
constexpr std::int64_t release_from = 1 << 12;

template <class F>
auto released(std::int64_t elements, F work) {
    if (elements < release_from) return work();
    nanobind::gil_scoped_release release;
    return work();
}

}  // namespace normexp
