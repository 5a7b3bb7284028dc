// Hands a planned job to threads: whole rows to each, or the blocks of one long row.
#include <vector>

#include "job.hpp"
#include "parallel.hpp"

namespace normexp {

// One piece of work for a thread, in elements: about 10 us, against about 5 us to wake a sleeping thread.
constexpr std::int64_t piece = 1 << 15;
// Rows at least this long are split themselves, unless there are plenty of them for each thread.
constexpr std::int64_t long_row = 1 << 17;

static void run_split(const Job& job, const Kernels& kernel) {
    const std::int64_t blocks = kernel.blocks(job), blocks_a_piece = 32,
                       pieces = (blocks + blocks_a_piece - 1) / blocks_a_piece;
    const auto end = [&](std::int64_t i) { return i == pieces - 1 ? blocks : (i + 1) * blocks_a_piece; };
    std::vector<PlainState> states(static_cast<std::size_t>(blocks));
    std::vector<double> maxima(static_cast<std::size_t>(blocks));
    for (std::int64_t row = 0; row < job.rows; ++row) {
        parallel(pieces, [&](std::int64_t i) {
            kernel.reduce_blocks(job, row, i * blocks_a_piece, end(i), states.data(), maxima.data());
        });
        const PlainState total = kernel.fold_states(job, states.data(), blocks);
        if (job.op == Op::logsumexp)
            kernel.map_blocks(job, row, 0, 0, total, maxima.data());
        else
            parallel(pieces, [&](std::int64_t i) {
                kernel.map_blocks(job, row, i * blocks_a_piece, end(i), total, maxima.data());
            });
    }
}

void run(const Job& job) {
    const Kernels& kernel = kernels();
    const std::int64_t elements = job.rows * job.length;
    if (elements < 2 * piece || thread_count() == 1) return kernel.rows(job, 0, job.rows);
    if (job.length >= long_row && job.rows < 4 * thread_count() && !job.across && job.op != Op::state)
        return run_split(job, kernel);
    std::int64_t rows_a_piece = (piece + job.length - 1) / job.length;
    if (job.across) rows_a_piece = (rows_a_piece + 15) / 16 * 16;
    parallel((job.rows + rows_a_piece - 1) / rows_a_piece, [&](std::int64_t i) {
        const std::int64_t first = i * rows_a_piece, last = first + rows_a_piece;
        kernel.rows(job, first, last < job.rows ? last : job.rows);
    });
}

}  // namespace normexp
