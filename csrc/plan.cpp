// From the axes of a call to the fewest loops that visit the same elements, and the choice of kernel. Nothing here may
// change a result, only the way to it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "job.hpp"

namespace normexp {

static bool continues(const Axis& outer, const Axis& inner) {
    return outer.x == inner.x * inner.size && outer.out == inner.out * inner.size &&
           outer.mask == inner.mask * inner.size && outer.target == inner.target * inner.size &&
           outer.value == inner.value * inner.size;
}

// Drops axes of length 1 and joins neighbours that one stride covers, keeping the logical order.
static int join(Axis* axes, int count) {
    int kept = 0;
    for (int i = 0; i < count; ++i) {
        if (axes[i].size == 1) continue;
        if (kept && continues(axes[kept - 1], axes[i]))
            axes[kept - 1] = {axes[kept - 1].size * axes[i].size,
                              axes[i].x,
                              axes[i].out,
                              axes[i].mask,
                              axes[i].target,
                              axes[i].value};
        else
            axes[kept++] = axes[i];
    }
    if (!kept) axes[kept++] = {1, 0, 0, 0};
    return kept;
}

static std::int64_t product(const Axis* axes, int count) {
    std::int64_t n = 1;
    for (int i = 0; i < count; ++i) n *= axes[i].size;
    return n;
}

// The rows before the first whose sixteen fill whole cache lines, or halves of one, if all sixteens after it do. A line that
// is read in two turns has often been displaced by the second: classes a large power of two apart share eight places in
// the first cache, and eight in the second (float32, 8 x 21 x 512 x 512, an array as NumPy makes it, 16 bytes into a line:
// 1.13 ns an element, and 0.92 from the line on). The rows before it go one by one, which only many can bear.
static std::int64_t rows_to_line(const Job& job, std::int64_t item) {
    constexpr std::int64_t sixteen = 16, many = 1024, cache_line = 64;
    const std::int64_t line = std::min(cache_line, sixteen * item);
    const auto whole = [&](const Axis& a) { return a.x % line == 0; };
    const int last = job.outer_axes - 1;
    const std::int64_t to_line = std::int64_t(-reinterpret_cast<std::uintptr_t>(job.x) % std::uintptr_t(line));
    const bool stays = job.outer[last].size % sixteen == 0 && std::all_of(job.outer, job.outer + last, whole) &&
                       std::all_of(job.row, job.row + job.row_axes, whole);
    return stays && job.outer[last].size >= many && to_line % item == 0 ? to_line / item : 0;
}

void plan(Job& job) {
    job.length = product(job.row, job.row_axes), job.rows = product(job.outer, job.outer_axes);
    if (job.length == 0 || job.rows == 0) return;
    job.row_axes = join(job.row, job.row_axes);

    // Rows that nothing is summed over may be taken in any order: smallest stride last, and upwards. Losses are added up
    // in logical order, whatever the strides.
    if (job.op != Op::loss && job.op != Op::stats && job.op != Op::evaluate) {
        for (int i = 0; i < job.outer_axes; ++i) {
            Axis& a = job.outer[i];
            if (a.x >= 0 || job.target) continue;
            job.x += (a.size - 1) * a.x, job.out += (a.size - 1) * a.out;
            if (job.mask) job.mask += (a.size - 1) * a.mask;
            a = {a.size, -a.x, -a.out, -a.mask};
        }
        std::stable_sort(job.outer, job.outer + job.outer_axes, [](const Axis& a, const Axis& b) { return a.x > b.x; });
    }
    job.outer_axes = join(job.outer, job.outer_axes);

    const std::int64_t item = job.dtype == DType::float64 ? 8 : job.dtype == DType::float32 ? 4 : 2;
    const bool maps =
        job.op == Op::softmax || job.op == Op::log_softmax || is_backward(job.op) || (job.op == Op::loss && job.out);
    const Axis &inner = job.row[job.row_axes - 1], &side = job.outer[job.outer_axes - 1];
    job.x_contiguous = job.row_axes == 1 && (inner.x == item || job.length == 1);
    job.out_contiguous = maps && job.row_axes == 1 && (inner.out == item || job.length == 1);

    // Results larger than the last-level cache share of a core are written past the caches.
    constexpr std::int64_t large_bytes = 8 << 20;
    const bool large = maps && job.out_contiguous && job.rows * job.length * item >= large_bytes;

    // Sixteen rows at a time where a row alone would wait, time and again, for its few sums and quotients (measured:
    // docs/performance.md), or where the rows lie side by side, so that a row alone would touch a cache line for each element.
    // Dense targets cost more that way, from row to row and class to class: gradients from 33 classes on.
    constexpr std::int64_t few_classes = 128, few_of_dense = 64, few_of_dense_gradients = 32;
    const bool dense = job.target && job.target->dense();
    const std::int64_t few = !dense ? few_classes : job.out ? few_of_dense_gradients : few_of_dense;
    const bool side_by_side = side.x == item;
    job.across = job.op != Op::state && job.op != Op::stats && !job.mask && side.size >= 16 &&
                 (job.length <= few || (side_by_side && job.row_axes == 1 && !job.negate));
    if (is_backward(job.op))
        job.across = side_by_side && side.out == item && side.target == item && side.size >= 16 && job.row_axes == 1;

    job.lead = job.across && side_by_side ? rows_to_line(job, item) : 0;

    // The results of a row, or of sixteen that follow one another, if they fill lines. A line of which a row fills but a part
    // costs some 50 ns if the rest of the row goes past the caches: only long rows can bear that (float32, 16384 x 256, an array
    // as NumPy makes it, 16 bytes into a line: 0.82 ns an element, and 0.44 through the caches; 1024 classes 0.48 and 0.39).
    constexpr std::int64_t row_of_lines = 256, sixteen_of_lines = 32, cache_line = 64;
    const std::int64_t long_row = job.op == Op::loss ? 2 << 10 : 16 << 10;  // bytes
    const bool follow = job.outer_axes == 1 && side.out == job.length * item;
    const bool whole_lines =
        reinterpret_cast<std::uintptr_t>(job.out) % std::uintptr_t(cache_line) == 0 &&
        std::all_of(job.outer, job.outer + job.outer_axes, [](const Axis& a) { return a.out % cache_line == 0; });
    const bool row_streams = whole_lines ? job.length >= row_of_lines : job.length * item >= long_row;
    const bool sixteen_stream =
        follow && !is_backward(job.op) && job.length > sixteen_of_lines && job.length <= few_classes;
    job.stream = large && (job.across ? sixteen_stream : row_streams);
}

}  // namespace normexp
