// The exponential of a difference of two floats, for every float: of min(x, 0) - max(x, 0), all 2^32 of them, in the width
// that the engine would take for a row [x, 0]. The error is held against the bound of docs/accuracy.md; what is exact is
// said by the C library's long double, good to 2^-63. Compiled and run by `make exhaustive`, on all cores.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

#include "lse.hpp"

namespace {

using namespace normexp::native;

struct Worst {
    double error = 0;
    float at = 0;
    std::uint64_t count = 0;

    void see(long double got, long double exact, float x) {
        const double here = double(std::fabs(got / exact - 1));
        ++count;
        if (!(here <= error)) error = here, at = x;  // a NaN, too
    }
    void merge(const Worst& other) {
        count += other.count;
        if (!(other.error <= error)) error = other.error, at = other.at;
    }
};
struct Both {
    Worst single, narrow;
};

constexpr std::uint64_t piece = 1 << 20;

void sixteen(std::uint32_t first, Both& worst) {
    alignas(64) float x[lane_count], base[lane_count], low[lane_count];
    for (std::uint32_t lane = 0; lane < lane_count; ++lane) {
        const std::uint32_t bits = first + lane;
        std::memcpy(&x[lane], &bits, sizeof bits);
        base[lane] = x[lane] > 0 ? x[lane] : 0, low[lane] = x[lane] > 0 ? 0 : x[lane];
    }
    float hi[lane_count], lo[lane_count];
    double factor[lane_count], narrow[lane_count];
    const Two<FloatLanes> e = exp_single(load_floats(low), single_base(load_floats(base)));
    store_floats(hi, e.hi), store_floats(lo, e.lo);
    store_doubles(factor, single_factor(widen(load_floats(base))));
    store_doubles(narrow, exp<Narrow>(widen(load_floats(low)) - widen(load_floats(base))));
    for (int lane = 0; lane < lane_count; ++lane) {
        const double d = double(low[lane]) - double(base[lane]);
        if (std::isnan(d)) {
            if (!std::isnan(narrow[lane])) worst.narrow.see(0, 1, x[lane]);
            if (!std::isnan(hi[lane])) worst.single.see(0, 1, x[lane]);
            continue;
        }
        if (d < -single_lowest) continue;  // cut off: nothing beside the largest term
        const long double exact = std::exp((long double)d);
        worst.narrow.see(narrow[lane], exact, x[lane]);
        if (base[lane] <= single_limit)
            worst.single.see(((long double)hi[lane] + lo[lane]) * factor[lane], exact, x[lane]);
    }
}

bool within(const char* name, const Worst& worst, double bound) {
    std::printf("%s: %llu arguments, worst error 2^%.2f at %a; derived: 2^%.1f\n", name,
                static_cast<unsigned long long>(worst.count), std::log2(worst.error), double(worst.at), bound);
    return std::log2(worst.error) <= bound;
}

}  // namespace

int main() {
    const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    std::atomic<std::uint64_t> next{0};
    std::vector<Both> worst(threads);
    std::vector<std::thread> pool;
    for (unsigned i = 0; i < threads; ++i)
        pool.emplace_back([&, i] {
            for (std::uint64_t at; (at = next.fetch_add(piece)) < (1ull << 32);)
                for (std::uint64_t first = at; first < at + piece; first += lane_count)
                    sixteen(std::uint32_t(first), worst[i]);
        });
    for (std::thread& thread : pool) thread.join();
    Both all;
    for (const Both& one : worst) all.single.merge(one.single), all.narrow.merge(one.narrow);
    const bool single = within("Single", all.single, -27.6), narrow = within("Narrow", all.narrow, -34.3);
    return single && narrow ? 0 : 1;
}
