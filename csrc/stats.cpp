// Compiled once per CPU level: the entry point of row_stats.
#include "stats.hpp"

#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

void stats(const Job& job, std::int64_t first, std::int64_t last) {
    with_type(job, [&]<class T>(T) {
        Row<T> row(job);
        for (std::int64_t i = first; i < last; ++i) row.move_to(i), stats_row(row, i);
    });
}

}  // namespace normexp::NORMEXP_LEVEL
