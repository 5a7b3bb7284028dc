// What one call asks of the engine: plain data, filled by the bindings, read by the kernels of every CPU level.
#pragma once

#include <cstdint>

namespace normexp {

enum class Op { softmax, log_softmax, logsumexp, state };
enum class DType { float16, bfloat16, float32, float64 };

constexpr int max_axes = 64;  // NumPy's own limit

// One axis of the arrays: its length, and how many bytes apart its elements lie in each of them.
struct Axis {
    std::int64_t size, x, out, mask;
};

struct Job {
    Op op;
    DType dtype;
    const char* x;
    char* out;         // same dtype as x; for Op::state three doubles a row: max, rest, rest's second word
    const char* mask;  // one byte an element, zero: ignore the element; or null
    int row_axes, outer_axes;
    Axis row[max_axes];    // the axes reduced over, in logical order
    Axis outer[max_axes];  // the others, in any order
    bool negate;           // softmin
    double temperature;

    // Derived by plan().
    std::int64_t length, rows;  // elements in a row, number of rows
    bool x_contiguous, out_contiguous;
    bool across;  // sixteen rows at a time, one a lane
    bool stream;  // results go past the caches
};

// The state of one block or row, as it travels between threads.
struct PlainState {
    double max, rest, rest_low;
    bool any;  // some element is not masked
};

// One CPU level's entry points.
struct Kernels {
    const char* name;
    // Rows [first, last): reduce and map.
    void (*rows)(const Job&, std::int64_t first, std::int64_t last);
    // The same for one row too long for one thread: reduce blocks [first, last) to states, fold those, map the blocks.
    std::int64_t (*blocks)(const Job&);
    void (*reduce_blocks)(const Job&, std::int64_t row, std::int64_t first, std::int64_t last, PlainState*,
                          double* maxima);
    PlainState (*fold_states)(const Job&, const PlainState*, std::int64_t count);
    void (*map_blocks)(const Job&, std::int64_t row, std::int64_t first, std::int64_t last, const PlainState&,
                       const double* maxima);
    // LogSumExp: states of three doubles each.
    void (*merge_states)(const double* a, const double* b, double* out, std::int64_t count);
    void (*state_values)(const double* states, double* values, std::int64_t count);
};

const Kernels& kernels();            // of the level in use (levels.cpp)
const char* level_names(int index);  // those this machine can run, best first; then null
void plan(Job&);                     // fills the derived part (plan.cpp)
void run(const Job&);                // a planned job, on the calling thread and the pool (run.cpp)

}  // namespace normexp
