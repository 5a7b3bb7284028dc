#include "parallel.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace normexp {
namespace {

struct Batch {
    void (*work)(void*, std::int64_t);
    void* context;
    std::int64_t tasks;
    std::atomic<std::int64_t> next{0};

    void help() {
        for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) work(context, i);
    }
};

// To wake a sleeping thread takes some 50 us here, a sixth of softmax of 65536 x 10. So whoever has nothing to do looks out for
// as long as that before it sleeps: calls that follow one another find the workers awake, and half a piece of work is not
// slept over. (PyTorch's OpenMP pool looks out for some 5 ms, which is felt by what comes next.)
constexpr auto lookout = std::chrono::microseconds(50);
template <class F>
void look_out(F there) {
    const auto until = std::chrono::steady_clock::now() + lookout;
    do {
        for (int i = 0; i < 32; ++i) {
            if (there()) return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#elif defined(__aarch64__)
            asm volatile("yield");
#endif
        }
    } while (std::chrono::steady_clock::now() < until);
}

class Pool {
public:
    // Workers start when first needed and live as long as the process; they hold nothing while they wait.
    void run(Batch& batch, int helpers) {
        {
            std::lock_guard lock(mutex_);
            try {
                while (started_ < helpers) {
                    std::thread([this] { serve(); }).detach();
                    ++started_;
                }
            } catch (const std::system_error&) {  // no more threads to be had: fewer will do
                helpers = started_;
            }
            batch_ = &batch;
            seats_ = helpers;
        }
        if (helpers) wake_.notify_all();
        batch.help();
        std::unique_lock lock(mutex_);
        batch_ = nullptr, seats_ = 0;  // whoever has not woken by now need not
        if (working_) {
            lock.unlock();
            look_out([this] { return working_ == 0; });
            lock.lock();
        }
        done_.wait(lock, [this] { return working_ == 0; });
    }
    std::mutex in_use;  // held by the caller whose batch is running

private:
    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return batch_ && seats_ > 0; });
            Batch* const batch = batch_;
            --seats_, ++working_;
            lock.unlock();
            batch->help();
            lock.lock();
            if (--working_ == 0) done_.notify_one();
            lock.unlock();
            look_out([this] { return seats_ > 0; });
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Batch* batch_ = nullptr;
    int started_ = 0;  // threads there are
    // Written under the lock; read without it only to see whether taking it may be worth while.
    std::atomic<int> seats_{0};    // helpers the batch still has room for
    std::atomic<int> working_{0};  // helpers at work on it
};

// Never destroyed: workers may still wait on it while the process ends.
std::atomic<Pool*> pool{nullptr};
std::atomic<int> threads{1};

Pool& the_pool() {
    static const bool created = [] {
        pool = new Pool;
#if defined(__unix__) || defined(__APPLE__)
        // A forked child has none of its parent's threads, and the locks as they happened to be: it starts afresh.
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
        return true;
    }();
    (void)created;
    return *pool;
}

}  // namespace

int thread_count() { return threads; }
void set_thread_count(int count) { threads = count; }

void parallel(std::int64_t tasks, void (*work)(void*, std::int64_t), void* context) {
    Batch batch{work, context, tasks};
    const std::int64_t helpers = (tasks < thread_count() ? tasks : thread_count()) - 1;
    if (helpers <= 0) return batch.help();
    Pool& p = the_pool();
    std::unique_lock mine(p.in_use, std::try_to_lock);
    if (!mine) return batch.help();
    p.run(batch, int(helpers));
}

}  // namespace normexp
