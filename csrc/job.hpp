// What one call asks of the engine: plain data, filled by the bindings, read by the kernels of every CPU level.
#pragma once

#include <cstdint>

namespace normexp {

enum class Op { softmax, log_softmax, logsumexp, state, loss, stats, evaluate, softmax_backward, log_softmax_backward };
constexpr bool is_backward(Op op) { return op == Op::softmax_backward || op == Op::log_softmax_backward; }
enum class DType { float16, bfloat16, float32, float64 };

constexpr int max_axes = 64;  // NumPy's own limit

// One axis of the arrays: its length, and how many bytes apart its elements lie in each of them. (target: labels lie one
// to a row, target probabilities one to an element. value: what comes out one to a row, where out has one to an element.)
struct Axis {
    std::int64_t size, x, out, mask, target = 0, value = 0;
};

// The type of labels, or of target probabilities.
enum class TargetType { int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64 };
constexpr bool is_probability(TargetType type) { return type >= TargetType::float16; }

// What a loss is taken against. A row's loss is sum_c a_c (logsumexp - x_c) with a_c = weight_c ((1 - smoothing) y_c +
// smoothing / C), where y is the row's target probabilities, or 1 at its label.
struct Target {
    TargetType type;
    const char* data;
    const double* weight;  // one a class, and zeros up to the next multiple of sixteen; or null: all 1
    double smoothing;
    bool ignores;               // whether there is a label to ignore
    std::int64_t ignore_index;  // rows with this label count for nothing; -1, which is no class, if there is none
    bool log_probabilities;     // x holds them: a row's loss is -weight x at the label, no more
    double gain;                // derivative of the result by a row's loss
    char* value;                // each row's loss, of x's type; or null, if only the sum is wanted
    // Every a_c may differ from 0; otherwise a row's loss is weight (logsumexp - x) at its label.
    bool dense() const { return is_probability(type) || smoothing != 0; }
};

// What logits are the product of, rounded: hidden states, one row each, times weights, one row a class, plus a bias, all of
// x's type; strides in bytes. upstream: the derivative of the result by each row's loss besides gain. Null: no bias, all 1.
struct Product {
    const char *hidden, *weight, *bias;
    std::int64_t hidden_stride, weight_stride, bias_stride, features;
    const float* upstream;
};

// What row_stats writes, one to a row, in logical order. All of x's type but the indices.
struct Stats {
    char *logsumexp, *max, *entropy, *log_prob;
    std::int64_t *argmax, *rank;
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
    const Target*
        target;  // of Op::loss, whose out is the gradient, or null; of Op::stats, or null; of the backwards, whose
                 // x is what softmax gave: the gradient by that, one element each, of x's type
    const Stats* stats;  // of Op::stats

    // Derived by plan().
    std::int64_t length, rows;  // elements in a row, number of rows
    bool x_contiguous, out_contiguous;
    bool across;        // sixteen rows at a time, one a lane
    std::int64_t lead;  // rows side by side before the first that begins a cache line: sixteen at a time begins there
    bool stream;        // results go past the caches
};

// What rows of logits with labels come to in an evaluation: sums over the rows (evaluate.hpp).
constexpr int evaluation_orders = 6, evaluation_bins = 15;
struct Evaluation {
    std::int64_t bad_row = -1;  // the first one with NaN, +inf or nothing but -inf; it counts for nothing
    double rows = 0, loss = 0, entropy = 0, brier = 0, top1 = 0, top5 = 0;
    double log_sum = 0, cumulant[evaluation_orders] = {}, label_distance = 0;  // at the job's temperature
    double bin_rows[evaluation_bins] = {}, bin_confidence[evaluation_bins] = {}, bin_right[evaluation_bins] = {};
};

// A sum of losses in two words, so that its order hardly matters; it is the same for any number of threads all the same.
struct PlainSum {
    double hi = 0, lo = 0;
};

// The logit at a row's label, and the derivative of the result by it but for softmax - 1; not kept: the row is ignored.
struct PlainLabel {
    bool kept;
    double logit, gain;
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
                       const double* maxima, double gain);
    // The rows' losses, into value where asked for, and their sum; their gradients, into out where asked for.
    void (*losses)(const Job&, std::int64_t first, std::int64_t last, PlainSum*);
    // Those of logits with labels that are a product rounded to bfloat16; each row's loss is a float.
    void (*product_losses)(const Job&, const Product&, std::int64_t first, std::int64_t last, PlainSum*);
    // The same for one row with a label whose blocks were reduced by several threads; map_blocks writes the rest of its
    // gradient before gradient_at_label.
    PlainLabel (*label)(const Job&, std::int64_t row);
    void (*loss_at_label)(const Job&, std::int64_t row, const PlainState&, const PlainLabel&, PlainSum*);
    void (*gradient_at_label)(const Job&, std::int64_t row, const PlainState&, const PlainLabel&);
    void (*stats)(const Job&, std::int64_t first, std::int64_t last);
    void (*evaluate)(const Job&, std::int64_t first, std::int64_t last, Evaluation*);
    void (*backward)(const Job&, std::int64_t first, std::int64_t last);
    // Losses by labels whose gradients are asked for later, and those, by what the rows have kept (kept_doubles() each).
    void (*losses_keeping)(const Job&, std::int64_t first, std::int64_t last, double* kept, PlainSum*);
    void (*gradients_kept)(const Job&, std::int64_t first, std::int64_t last, const double* kept);
    // LogSumExp: states of three doubles each.
    void (*merge_states)(const double* a, const double* b, double* out, std::int64_t count);
    void (*state_values)(const double* states, double* values, std::int64_t count);
};

const Kernels& kernels();                                 // of the level in use (levels.cpp)
const char* level_names(int index);                       // those this machine can run, best first; then null
void plan(Job&);                                          // fills the derived part (plan.cpp)
void run(const Job&);                                     // a planned job, on the calling thread and the pool (run.cpp)
PlainSum run_losses(const Job&);                          // the sum of the rows' losses (likewise)
PlainSum run_product_losses(const Job&, const Product&);  // (likewise)
void run_stats(const Job&);                               // (likewise)
Evaluation run_evaluate(const Job&);                      // (likewise)
void run_backward(const Job&);                            // (likewise)

// Doubles that each row keeps between its loss and its gradient; 0 where computing them again is as good: targets that are
// not labels, sixteen rows at a time, a row that is split among threads.
constexpr std::int64_t kept_state_size = 3;
std::int64_t kept_doubles(const Job&);
PlainSum run_losses_keeping(const Job&, double* kept);
void run_gradients(const Job&, const double* kept);

// What the labels come to: the first row whose label is none, or -1; how many rows count, and the sum of their weights.
struct LabelCount {
    std::int64_t bad_row = -1, kept = 0;
    double weight = 0;
};
LabelCount count_labels(const Job&, std::int64_t classes);  // (labels.cpp)

}  // namespace normexp
