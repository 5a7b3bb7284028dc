// A small pool of threads. The calling thread works too, and does everything itself when the pool is busy with another
// caller: results never depend on who computes them.
#pragma once

#include <cstdint>

namespace normexp {

int thread_count();
void set_thread_count(int count);  // count >= 1

// Calls work(context, i) once for each i in [0, tasks), from up to thread_count() threads, and returns when all are done.
void parallel(std::int64_t tasks, void (*work)(void*, std::int64_t), void* context);

template <class F>
void parallel(std::int64_t tasks, F work) {
    parallel(tasks, [](void* context, std::int64_t i) { (*static_cast<F*>(context))(i); }, &work);
}

}  // namespace normexp
