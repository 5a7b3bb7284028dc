// Picks the CPU level once, when the library is loaded: the best this machine has, or the one NORMEXP_CPU names.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "job.hpp"

namespace normexp {

#if defined(__x86_64__)
namespace baseline { extern const Kernels kernels; }
namespace v3 { extern const Kernels kernels; }
namespace v4 { extern const Kernels kernels; }

static const Kernels* const all_levels[] = {&v4::kernels, &v3::kernels, &baseline::kernels};

static bool runs_here(const Kernels* level) {
    if (level == &v4::kernels) return __builtin_cpu_supports("x86-64-v4");
    if (level == &v3::kernels) return __builtin_cpu_supports("x86-64-v3");
    return true;
}
#else
namespace neon { extern const Kernels kernels; }
static const Kernels* const all_levels[] = {&neon::kernels};
static bool runs_here(const Kernels*) { return true; }
#endif

const char* level_names(int index) {
    for (const Kernels* level : all_levels)
        if (runs_here(level) && index-- == 0) return level->name;
    return nullptr;
}

static const Kernels& choose() {
    const char* wanted = std::getenv("NORMEXP_CPU");
    std::string available;
    for (const Kernels* level : all_levels) {
        if (!runs_here(level)) continue;
        if (!wanted || !*wanted || !std::strcmp(wanted, level->name)) return *level;
        available += (available.empty() ? "" : ", ") + std::string(level->name);
    }
    throw std::runtime_error("NORMEXP_CPU is '" + std::string(wanted) +
                             "', but the CPU levels of this machine are: " + available);
}

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace normexp
