// Prints digests of the bits of many results, a line for each kind of call, at the CPU level in use; with --levels, the
// levels there are. tools/neon.py compares what this program prints when compiled for this machine and for AArch64.
#include <cstdio>

#include "inputs.hpp"
#include "parallel.hpp"

namespace {

// ---- softmax, log_softmax, logsumexp and the states, in each layout -----------------------------------------------------

enum Layout { rows, columns, strided, reversed, two_axes, masked, negated, heated, in_place, streamed, layouts };
constexpr const char* layout_names[] = {"rows",   "columns", "strided", "reversed", "two axes",
                                        "masked", "negated", "heated",  "in place", "streamed"};
constexpr Op ops[] = {Op::softmax, Op::log_softmax, Op::logsumexp, Op::state};
constexpr const char* op_names[] = {"softmax", "log_softmax", "logsumexp", "state"};

void apply(const Format& f, Op op, Layout layout, Kind kind, std::int64_t count, std::int64_t length, Digest& digest) {
    Call call(f, op, kind, count, length, layout == columns, layout == strided ? 2 : 0);
    Job& job = call.job;
    Axis &row = job.row[0], &outer = job.outer[0];
    const bool maps = op == Op::softmax || op == Op::log_softmax;
    std::vector<char> mask(std::size_t(count * length));
    for (char& one : mask) one = call.random.below(3) > 0;
    if (layout == masked) job.mask = mask.data();
    if (layout == in_place && maps) job.out = call.x.data();
    job.negate = layout == negated, job.temperature = layout == heated ? 0.7 : 1.0;
    if (layout == two_axes && length % 3 == 0) {
        job.row_axes = 2;
        job.row[1] = {length / 3, 3 * row.x, 3 * row.out, 3}, row.size = 3;
    }
    if (layout == reversed) {
        job.x += (count * length - 1) * row.x, job.out += (count - 1) * outer.out + (length - 1) * row.out;
        row.x = -row.x, row.out = -row.out, outer.x = -outer.x, outer.out = -outer.out;
    }
    plan(job);
    if (layout == streamed) job.stream = maps && job.out_contiguous && !job.across;
    run(job);
    digest.add(op == Op::state ? float64 : f, call.out), digest.add(f, call.x);
}

void merge_and_value(const Format& f, Digest& digest) {
    constexpr std::int64_t pairs = 32;
    for (int kind = 0; kind < kinds; ++kind) {
        Call call(f, Op::state, Kind(kind), 2 * pairs, 5);
        plan(call.job);
        run(call.job);
        std::vector<double> states(6 * pairs), merged(3 * pairs), values(pairs);
        std::memcpy(states.data(), call.out.data(), call.out.size());
        kernels().merge_states(states.data(), states.data() + 3 * pairs, merged.data(), pairs);
        kernels().state_values(merged.data(), values.data(), pairs);
        digest.add(merged), digest.add(values);
    }
}

// ---- losses and statistics ----------------------------------------------------------------------------------------------

enum Loss { labels, weighted, smoothed, probabilities, log_probabilities_given, losses };
constexpr const char* loss_names[] = {"labels", "weighted", "smoothed", "probabilities", "log-probabilities"};
constexpr TargetType probability_types[] = {TargetType::float16, TargetType::bfloat16, TargetType::float32,
                                            TargetType::float64};

void loss(const Format& f, Loss loss, bool side_by_side, Kind kind, std::int64_t count, std::int64_t length,
          Digest& digest) {
    Call call(f, Op::loss, kind, count, length, side_by_side);
    Job& job = call.job;
    const std::vector<std::int64_t> labels = call.labels();
    const std::vector<char> probabilities = call.fill([&](std::int64_t) {
        const Bits fraction = call.random.next() >> 12;
        return f.number(0, -1 - call.random.below(6), fraction);
    });
    std::vector<double> weight(std::size_t((length + 15) / 16 * 16));
    for (std::int64_t i = 0; i < length; ++i) weight[std::size_t(i)] = 0.25 * call.random.below(8);
    std::vector<char> value(std::size_t(count * call.item));
    Target target{};
    target.type = TargetType::int64, target.data = reinterpret_cast<const char*>(labels.data());
    target.gain = 0.37, target.ignore_index = loss == weighted ? 1 : -100, target.value = value.data();
    job.outer[0].target = 8, job.outer[0].value = call.item;
    if (loss == weighted || loss == smoothed) target.weight = weight.data();
    if (loss == smoothed) target.smoothing = 0.1;
    if (loss == log_probabilities_given) target.log_probabilities = true, job.out = nullptr;
    if (loss == Loss::probabilities) {
        target.type = probability_types[&f - formats], target.data = probabilities.data();
        job.row[0].target = job.row[0].x, job.outer[0].target = job.outer[0].x;
    }
    job.target = &target;
    plan(job);
    const PlainSum sum = run_losses(job);
    const double total = sum.hi - sum.hi == 0 ? sum.hi + sum.lo : sum.hi;  // as bindings.cpp has it
    digest.add(f, value), digest.add(f, call.out), digest.add(std::vector<double>{total});
}

void statistics(const Format& f, bool side_by_side, Kind kind, std::int64_t count, std::int64_t length,
                Digest& digest) {
    Call call(f, Op::stats, kind, count, length, side_by_side);
    const std::vector<std::int64_t> labels = call.labels();
    Target target{};
    target.type = TargetType::int64, target.data = reinterpret_cast<const char*>(labels.data());
    target.ignore_index = -1;
    std::vector<char> numbers[4];
    for (auto& one : numbers) one.resize(std::size_t(count * call.item));
    std::vector<std::int64_t> argmax(static_cast<std::size_t>(count)), rank(static_cast<std::size_t>(count));
    const Stats stats{numbers[0].data(), numbers[1].data(), numbers[2].data(),
                      numbers[3].data(), argmax.data(),     rank.data()};
    call.job.outer[0].target = 8, call.job.target = &target, call.job.stats = &stats;
    plan(call.job);
    run_stats(call.job);
    for (const auto& one : numbers) digest.add(f, one);
    digest.add(argmax), digest.add(rank);
}

void evaluation(const Format& f, bool side_by_side, Kind kind, std::int64_t count, std::int64_t length,
                Digest& digest) {
    Call call(f, Op::evaluate, kind, count, length, side_by_side);
    const std::vector<std::int64_t> labels = call.labels();
    Target target{};
    target.type = TargetType::int64, target.data = reinterpret_cast<const char*>(labels.data());
    target.ignore_index = -1;
    call.job.outer[0].target = 8, call.job.target = &target, call.job.temperature = 0.7;
    plan(call.job);
    const Evaluation sums = run_evaluate(call.job);
    std::vector<double> all{double(sums.bad_row), sums.rows, sums.loss, sums.entropy,
                            sums.brier,           sums.top1, sums.top5, sums.log_sum,
                            sums.label_distance};
    const auto add = [&](const auto& values) { all.insert(all.end(), std::begin(values), std::end(values)); };
    add(sums.cumulant), add(sums.bin_rows), add(sums.bin_confidence), add(sums.bin_right);
    digest.add(all);
}

// ---- all of it ----------------------------------------------------------------------------------------------------------

// Calls f(kind, rows, length, digest): short and middling rows of every kind, a few longer than a block; prints the digest.
template <class F>
void over_lengths(const Format& format, const char* what, const char* how, F f) {
    Digest digest;
    for (std::int64_t length : {1, 2, 3, 8, 9, 15, 16, 17, 33, 63, 132, 258, 2049, 4101}) {
        const bool is_long = length > 300;
        for (int kind = 0; kind < kinds; kind += is_long ? 3 : 1) f(Kind(kind), is_long ? 1 : 19, length, digest);
    }
    std::printf("%s %s %s %016llx\n", format.name, what, how, static_cast<unsigned long long>(digest.value));
}

void all(const Format& f) {
    using Size = std::int64_t;
    for (std::size_t op = 0; op < std::size(ops); ++op)
        for (int layout = 0; layout < layouts; ++layout)
            over_lengths(f, op_names[op], layout_names[layout],
                         [&](Kind kind, Size count, Size length, Digest& digest) {
                             apply(f, ops[op], Layout(layout), kind, count, length, digest);
                         });
    for (const bool side_by_side : {false, true}) {
        const char* const how = layout_names[side_by_side ? columns : rows];
        for (int which = 0; which < losses; ++which)
            over_lengths(f, loss_names[which], how, [&](Kind kind, Size count, Size length, Digest& digest) {
                loss(f, Loss(which), side_by_side, kind, count, length, digest);
            });
        over_lengths(f, "statistics", how, [&](Kind kind, Size count, Size length, Digest& digest) {
            statistics(f, side_by_side, kind, count, length, digest);
        });
        over_lengths(f, "evaluation", how, [&](Kind kind, Size count, Size length, Digest& digest) {
            evaluation(f, side_by_side, kind, count, length, digest);
        });
    }
    Digest digest;
    merge_and_value(f, digest);
    set_thread_count(3);  // long rows are split, many short ones dealt out
    constexpr Size long_row = (1 << 17) + 5;
    for (const Op op : ops) {
        apply(f, op, rows, ordinary, 1, long_row, digest);
        apply(f, op, columns, ordinary, 7001, 10, digest);
    }
    loss(f, labels, false, ordinary, 1, long_row, digest);
    loss(f, labels, true, ordinary, 7001, 10, digest);
    set_thread_count(1);
    std::printf("%s merged and on threads %016llx\n", f.name, static_cast<unsigned long long>(digest.value));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && !std::strcmp(argv[1], "--levels"))
        for (int i = 0; const char* name = level_names(i); ++i) std::puts(name);
    else
        for (const Format& f : formats) all(f);
}
