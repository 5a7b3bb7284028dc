// Hands a planned job to threads: whole rows to each, or the blocks of one long row.
#include <vector>

#include "job.hpp"
#include "parallel.hpp"

namespace normexp {

// One piece of work for a thread, in elements: about 5 us, so that a few of them still share out evenly.
constexpr std::int64_t piece = 1 << 14;
// Rows at least this long are split themselves, unless there are plenty of them for each thread.
constexpr std::int64_t long_row = 1 << 17;

// One row at a time, its blocks over the threads.
class SplitRow {
public:
    SplitRow(const Job& job, const Kernels& kernel)
        : job_(job), kernel_(kernel), states_(std::size_t(kernel.blocks(job))), maxima_(states_.size()) {}

    PlainState reduce(std::int64_t row) {
        in_pieces([&](std::int64_t first, std::int64_t last) {
            kernel_.reduce_blocks(job_, row, first, last, states_.data(), maxima_.data());
        });
        return kernel_.fold_states(job_, states_.data(), std::int64_t(states_.size()));
    }
    void map(std::int64_t row, const PlainState& total, double gain) {
        in_pieces([&](std::int64_t first, std::int64_t last) {
            kernel_.map_blocks(job_, row, first, last, total, maxima_.data(), gain);
        });
    }

private:
    template <class F>
    void in_pieces(F work) {
        const std::int64_t blocks = std::int64_t(states_.size()), blocks_a_piece = 32;
        parallel((blocks + blocks_a_piece - 1) / blocks_a_piece, [&](std::int64_t i) {
            const std::int64_t first = i * blocks_a_piece, last = first + blocks_a_piece;
            work(first, last < blocks ? last : blocks);
        });
    }

    const Job& job_;
    const Kernels& kernel_;
    std::vector<PlainState> states_;
    std::vector<double> maxima_;
};

static void run_split(const Job& job, const Kernels& kernel) {
    SplitRow split(job, kernel);
    for (std::int64_t row = 0; row < job.rows; ++row) {
        const PlainState total = split.reduce(row);
        if (job.op == Op::logsumexp)
            kernel.map_blocks(job, row, 0, 0, total, nullptr, 1.0);
        else
            split.map(row, total, 1.0);
    }
}

static PlainSum split_loss(SplitRow& split, const Job& job, const Kernels& kernel, std::int64_t row) {
    PlainSum sum;
    const PlainLabel label = kernel.label(job, row);
    if (!label.kept) {
        kernel.losses(job, row, row + 1, &sum);  // writes zeros
        return sum;
    }
    const PlainState total = split.reduce(row);
    kernel.loss_at_label(job, row, total, label, &sum);
    if (job.out) {
        split.map(row, total, label.gain);
        kernel.gradient_at_label(job, row, total, label);
    }
    return sum;
}

static bool wants_split(const Job& job) {
    return thread_count() > 1 && job.length >= long_row && job.rows < 4 * thread_count() && !job.across;
}

// work(piece, first row, last row) for pieces of rows; the same pieces for any number of threads. The first has the rows
// before a cache line besides its own.
static std::int64_t rows_a_piece(const Job& job) {
    const std::int64_t rows = (piece + job.length - 1) / job.length;
    return job.across ? (rows + 15) / 16 * 16 : rows;
}
static std::int64_t piece_count(const Job& job) {
    return (job.rows - job.lead + rows_a_piece(job) - 1) / rows_a_piece(job);
}
template <class F>
static void by_rows(const Job& job, F work) {
    const std::int64_t each = rows_a_piece(job), pieces = piece_count(job);
    const auto one = [&](std::int64_t i) {
        const std::int64_t first = i ? job.lead + i * each : 0, last = job.lead + (i + 1) * each;
        work(i, first, last < job.rows ? last : job.rows);
    };
    if (job.rows * job.length >= 2 * piece) return parallel(pieces, one);
    for (std::int64_t i = 0; i < pieces; ++i) one(i);
}
// What each piece comes to, in order: kernel(job, first row, last row, &part).
template <class Part>
static std::vector<Part> parts_by_rows(const Job& job, void (*kernel)(const Job&, std::int64_t, std::int64_t, Part*)) {
    std::vector<Part> parts(std::size_t(piece_count(job)));
    by_rows(job, [&](std::int64_t i, std::int64_t first, std::int64_t last) {
        kernel(job, first, last, &parts[std::size_t(i)]);
    });
    return parts;
}

void run(const Job& job) {
    const Kernels& kernel = kernels();
    if (job.rows * job.length < 2 * piece || thread_count() == 1) return kernel.rows(job, 0, job.rows);
    if (wants_split(job) && job.op != Op::state) return run_split(job, kernel);
    by_rows(job, [&](std::int64_t, std::int64_t first, std::int64_t last) { kernel.rows(job, first, last); });
}

// Two-sum (words.hpp), in order. Beyond the finite numbers the second word is NaN.
static PlainSum total_of(const std::vector<PlainSum>& sums) {
    PlainSum total;
    for (const PlainSum& sum : sums) {
        const double hi = total.hi + sum.hi, part = hi - total.hi;
        total.lo += sum.lo + ((total.hi - (hi - part)) + (sum.hi - part));
        total.hi = hi;
    }
    return total;
}

PlainSum run_losses(const Job& job) {
    const Kernels& kernel = kernels();
    std::vector<PlainSum> sums;
    if (wants_split(job) && !job.target->dense() && !job.target->log_probabilities) {
        SplitRow split(job, kernel);
        for (std::int64_t row = 0; row < job.rows; ++row) sums.push_back(split_loss(split, job, kernel, row));
    } else {
        sums = parts_by_rows(job, kernel.losses);
    }
    return total_of(sums);
}

PlainSum run_product_losses(const Job& job, const Product& product) {
    const Kernels& kernel = kernels();
    std::vector<PlainSum> sums(std::size_t(piece_count(job)));
    by_rows(job, [&](std::int64_t i, std::int64_t first, std::int64_t last) {
        kernel.product_losses(job, product, first, last, &sums[std::size_t(i)]);
    });
    return total_of(sums);
}

std::int64_t kept_doubles(const Job& job) {
    // Below this, what is kept would be more than a thirtieth of float32 logits.
    constexpr std::int64_t kept_from = 256;
    const Target& target = *job.target;
    if (job.across || job.length < kept_from || target.dense() || target.log_probabilities || wants_split(job))
        return 0;
    return kept_state_size + kernels().blocks(job);
}

PlainSum run_losses_keeping(const Job& job, double* kept) {
    const Kernels& kernel = kernels();
    std::vector<PlainSum> sums(std::size_t(piece_count(job)));
    by_rows(job, [&](std::int64_t i, std::int64_t first, std::int64_t last) {
        kernel.losses_keeping(job, first, last, kept, &sums[std::size_t(i)]);
    });
    return total_of(sums);
}

void run_gradients(const Job& job, const double* kept) {
    const Kernels& kernel = kernels();
    by_rows(job, [&](std::int64_t, std::int64_t first, std::int64_t last) {
        kernel.gradients_kept(job, first, last, kept);
    });
}

void run_stats(const Job& job) {
    const Kernels& kernel = kernels();
    by_rows(job, [&](std::int64_t, std::int64_t first, std::int64_t last) { kernel.stats(job, first, last); });
}

void run_backward(const Job& job) {
    const Kernels& kernel = kernels();
    by_rows(job, [&](std::int64_t, std::int64_t first, std::int64_t last) { kernel.backward(job, first, last); });
}

static void add_to(Evaluation& total, const Evaluation& part) {
    if (total.bad_row < 0) total.bad_row = part.bad_row;
    total.rows += part.rows, total.loss += part.loss, total.entropy += part.entropy, total.brier += part.brier;
    total.top1 += part.top1, total.top5 += part.top5;
    total.log_sum += part.log_sum, total.label_distance += part.label_distance;
    for (int i = 0; i < evaluation_orders; ++i) total.cumulant[i] += part.cumulant[i];
    for (int i = 0; i < evaluation_bins; ++i) {
        total.bin_rows[i] += part.bin_rows[i], total.bin_right[i] += part.bin_right[i];
        total.bin_confidence[i] += part.bin_confidence[i];
    }
}
Evaluation run_evaluate(const Job& job) {
    Evaluation total;
    for (const Evaluation& part : parts_by_rows(job, kernels().evaluate)) add_to(total, part);
    return total;
}

}  // namespace normexp
