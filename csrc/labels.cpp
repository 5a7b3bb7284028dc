// The pass over the labels that comes before all else: nothing is written if one of them is no class, and the mean
// knows what to divide by before the first gradient is written.
#include "labels.hpp"

#include <type_traits>
#include <vector>

#include "parallel.hpp"

namespace normexp {

namespace {

// Rows [first, last) in logical order: f(row, address of the label).
template <class F>
void visit_labels(const Job& job, std::int64_t first, std::int64_t last, F f) {
    const Axis& inner = job.outer[job.outer_axes - 1];
    for (std::int64_t row = first; row < last;) {
        std::int64_t rest = row / inner.size, at = row % inner.size;
        const char* p = job.target->data + at * inner.target;
        for (int axis = job.outer_axes - 2; axis >= 0; --axis) {
            const Axis& a = job.outer[axis];
            p += (axis == 0 ? rest : rest % a.size) * a.target;
            rest /= a.size;
        }
        for (; at < inner.size && row < last; ++at, ++row, p += inner.target) f(row, p);
    }
}

// The type is settled before the loop, not in it: what a label costs here adds to every loss (docs/performance.md).
template <class L>
LabelCount count_rows(const Job& job, std::int64_t first, std::int64_t last, std::int64_t classes) {
    const Target& target = *job.target;
    LabelCount count;
    visit_labels(job, first, last, [&](std::int64_t row, const char* p) {
        const std::int64_t label = std::int64_t(read_as<L>(p));
        const bool beyond = std::is_same_v<L, std::uint64_t> && label < 0;
        const bool is_class = std::uint64_t(label) < std::uint64_t(classes);
        const bool ignored = target.ignores && label == target.ignore_index && !beyond;
        if (!is_class && !ignored && count.bad_row < 0) count.bad_row = row;
        count.kept += is_class && !ignored;
        if (target.weight && is_class && !ignored) count.weight += target.weight[label];
    });
    return count;
}

}  // namespace

LabelCount count_labels(const Job& job, std::int64_t classes) {
    // The pieces are the same for any number of threads, and so is the sum of weights.
    constexpr std::int64_t piece = 1 << 14;
    const std::int64_t pieces = (job.rows + piece - 1) / piece;
    std::vector<LabelCount> counts(static_cast<std::size_t>(pieces));
    parallel(pieces, [&](std::int64_t i) {
        const std::int64_t first = i * piece, last = first + piece < job.rows ? first + piece : job.rows;
        counts[static_cast<std::size_t>(i)] =
            with_labels(job.target->type, [&]<class L>(L) { return count_rows<L>(job, first, last, classes); });
    });
    LabelCount total;
    for (const LabelCount& count : counts) {
        if (total.bad_row < 0) total.bad_row = count.bad_row;
        total.kept += count.kept, total.weight += count.weight;
    }
    return total;
}

}  // namespace normexp
