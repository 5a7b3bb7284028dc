// The pass over the labels that comes before all else: nothing is written if one of them is no class, and the mean
// knows what to divide by before the first gradient is written.
#include "labels.hpp"

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

}  // namespace

LabelCount count_labels(const Job& job, std::int64_t classes) {
    const Target& target = *job.target;
    // The pieces are the same for any number of threads, and so is the sum of weights.
    constexpr std::int64_t piece = 1 << 14;
    const std::int64_t pieces = (job.rows + piece - 1) / piece;
    std::vector<LabelCount> counts(static_cast<std::size_t>(pieces));
    parallel(pieces, [&](std::int64_t i) {
        LabelCount count;
        const std::int64_t last = (i + 1) * piece;
        visit_labels(job, i * piece, last < job.rows ? last : job.rows, [&](std::int64_t row, const char* p) {
            const std::int64_t label = label_at(target.type, p);
            const bool unsigned_beyond = target.type == TargetType::uint64 && label < 0;
            if (target.ignores && label == target.ignore_index && !unsigned_beyond) return;
            if (label < 0 || label >= classes) {
                if (count.bad_row < 0) count.bad_row = row;
                return;
            }
            ++count.kept;
            if (target.weight) count.weight += target.weight[label];
        });
        counts[static_cast<std::size_t>(i)] = count;
    });
    LabelCount total;
    for (const LabelCount& count : counts) {
        if (total.bad_row < 0) total.bad_row = count.bad_row;
        total.kept += count.kept, total.weight += count.weight;
    }
    return total;
}

}  // namespace normexp
