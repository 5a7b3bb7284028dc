// The functions on sixteen rows at once, one row a lane: for rows of a few classes, where lanes along the row would stand
// empty, and for channel-first arrays, whose rows lie side by side. Every lane does what rows.hpp does for a row, in the
// same order (class i is added to partial sum i mod 16), so a row has the same bits whichever of the two handles it.
#pragma once

#include "rows.hpp"
#include "transpose.hpp"

namespace normexp::NORMEXP_LEVEL {

// Up to this many classes sixteen rows are first copied side by side (float32: 8 KiB) and their exponentials kept
// (16 KiB). Rows side by side in memory already may be longer: they are read where they lie.
constexpr std::int64_t across_limit = 128;

template <bool scaled, class T, class Width = typename Native<T>::Width>
struct Across {
    const Job& job;
    const Scale scale;
    const char* ahead = nullptr;  // the next sixteen rows, if they follow in memory
    const char* x = nullptr;      // class i of the sixteen rows lies at x + i * stride, side by side
    std::int64_t stride = 0;
    bool staged = false;
    bool keeps = false;      // the exponentials, for the map
    bool fine = true;        // no row that needs rows.hpp
    bool all_single = true;  // every block of every row is computed in float arithmetic
    alignas(64) T buffer[across_limit * lane_count];
    alignas(64) T results[across_limit * lane_count];  // on their way past the caches
    Num<Width, Lanes> kept[across_limit];

    explicit Across(const Job& j) : job(j), scale(scale_of(j)) {
        if (job.length > block_size)
            maxima = static_cast<Lanes*>(
                ::operator new(std::size_t(block_count(job)) * sizeof(Lanes), std::align_val_t(alignof(Lanes))));
    }

    const Axis& rows_axis() const { return job.outer[job.outer_axes - 1]; }

    void move_to(const Offsets& at) {
        staged = job.length <= across_limit;
        keeps = staged && job.out && (job.op == Op::softmax || job.op == Op::loss);
        if (!staged) {
            x = job.x + at.x, stride = job.row[0].x;
            return;
        }
        const char* from = job.x + at.x;
        const std::int64_t apart = rows_axis().x;
        x = reinterpret_cast<const char*>(buffer), stride = sizeof(T) * lane_count;
        if (classes_side_by_side(job.row[0].x)) {
            ahead = apart == job.length * std::int64_t(sizeof(T)) ? from + lane_count * apart : nullptr;
            rows_to_lanes(from, apart, job.length, buffer);
            if (job.negate)
                for (std::int64_t i = 0; i < job.length * lane_count; ++i) negate(buffer + i);
            return;
        }
        visit_row([&](std::int64_t i, const Offsets& in_row) NORMEXP_INLINE_LAMBDA {
            const char* element = from + in_row.x;
            T* to = buffer + i * lane_count;
            if (apart == sizeof(T)) {
                // The next rows': as many streams as there are classes are too many to be fetched ahead by themselves.
                __builtin_prefetch(element + sizeof(T) * lane_count);
                std::memcpy(to, element, sizeof(T) * lane_count);
            } else
                for (int lane = 0; lane < lane_count; ++lane) std::memcpy(to + lane, element + lane * apart, sizeof(T));
            if (job.negate)
                for (int lane = 0; lane < lane_count; ++lane) negate(to + lane);
        });
    }
    bool classes_side_by_side(std::int64_t step) const {
        return job.row_axes == 1 && step == sizeof(T) && job.length >= 4;
    }
    // visit() of rows.hpp, without its set-up where a row is one axis.
    template <class F>
    NORMEXP_INLINE_LAMBDA void visit_row(F f) const {
        if (job.row_axes > 1) return visit(job, 0, job.length, f);
        const Axis& a = job.row[0];
        Offsets at{};
        for (std::int64_t i = 0; i < job.length; ++i, at.x += a.x, at.out += a.out) f(i, at);
    }
    const T* logits(std::int64_t i) const { return reinterpret_cast<const T*>(x + i * stride); }

    Lanes wide_logits(std::int64_t i) const { return load(logits(i)); }

    // Rows longer than one block: the max of each block, for the map. (All in one block: it is the row's.)
    Lanes* maxima = nullptr;
    ~Across() { ::operator delete(maxima, std::align_val_t(alignof(Lanes))); }
    Across(const Across&) = delete;
    Across& operator=(const Across&) = delete;

    static constexpr bool may_be_single = __is_same(Width, Single) && !scaled;

    // The largest of classes [first, last) in each row.
    typename Compared<T>::Type block_max_across(std::int64_t first, std::int64_t last) const {
        using L = typename Compared<T>::Type;
        L best = broadcast<L>(-infinity);
        for (std::int64_t i = first; i < last; ++i) best = larger(best, load_compared(logits(i)));
        return best;
    }

    // f(i, its logits, their exponentials) for classes [first, last), several computed in step (see Pack in single.hpp).
    template <class F>
    NORMEXP_INLINE_LAMBDA void each_exp(std::int64_t first, std::int64_t last, const SingleBase& base, F f) {
        std::int64_t i = first;
        const auto step = [&]<int K>(std::integral_constant<int, K>) NORMEXP_INLINE_LAMBDA {
            const auto v = each<K>([&](int k) NORMEXP_INLINE_LAMBDA { return load_floats(logits(i + k)); });
            const auto e = exp_of<T>(v, base);
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) {
                // (A page of 4 KiB ends what the processor fetches ahead by itself.)
                if (ahead) __builtin_prefetch(ahead + (i + k) * lane_count * std::int64_t(sizeof(T)));
                f(i + k, v.of[k], part(e, k));
            }
            i += K;
        };
        while (i + single_pack <= last) step(std::integral_constant<int, single_pack>{});
        if (single_pack > 2 && i + 2 <= last) step(std::integral_constant<int, 2>{});
        while (i < last) step(std::integral_constant<int, 1>{});
    }

    // In float arithmetic, as fold_single() in lse.hpp. Only where |from| <= single_limit in every lane.
    Lanes fold_single_across(std::int64_t first, std::int64_t last, FloatLanes max, FloatLanes from) {
        const SingleBase base = single_base(from);
        Lanes sums[lane_count];
        FloatLanes lows[lane_count];
        LaneMask seen = no_lane();  // the rows whose first maximum has gone by: that one is left out
        const auto others = [&](std::int64_t i, FloatLanes v, Exp<T> e) NORMEXP_INLINE_LAMBDA -> Exp<T> {
            if (keeps) keep_single(&kept[i], e);
            const LaneMask is_max = equal(v, max), left_out = but_not(is_max, seen);
            seen = seen | is_max;
            return zero_where(left_out, e);
        };
        // The first sixteen classes begin a partial sum each.
        const std::int64_t begun = last - first < lane_count ? last : first + lane_count;
        each_exp(first, begun, base, [&](std::int64_t i, FloatLanes v, Exp<T> e) NORMEXP_INLINE_LAMBDA {
            e = others(i, v, e);
            const FloatLanes none = broadcast<FloatLanes>(0.0);
            sums[i - first] = widen(first_word(e)), lows[i - first] = add_second_word(none, e);
        });
        each_exp(begun, last, base, [&](std::int64_t i, FloatLanes v, Exp<T> e) NORMEXP_INLINE_LAMBDA {
            e = others(i, v, e);
            const int k = int(i % lane_count);
            sums[k] = sums[k] + widen(first_word(e)), lows[k] = add_second_word(lows[k], e);
        });
        const int used = int(begun - first);
        return single_rest(tree_sum(sums, lows, used), single_factor(widen(from)));
    }

    // As sum_shares() in lse.hpp. Only where |from| <= single_limit in every lane. The exponentials of up to across_limit
    // classes are kept first, and summed then, partial sum after partial sum, in registers: brought up to date in memory class
    // by class, the sums' stores took longer than the exponentials.
    Lanes sum_shares_across(std::int64_t first, std::int64_t last, FloatLanes from) {
        const SingleBase base = single_base(from);
        using Sum = decltype(no_shares<T>());
        Sum partial[lane_count];
        const bool short_block = last - first <= lane_count, one_chunk = last - first <= across_limit;
        for (std::int64_t chunk = first; chunk < last; chunk += across_limit) {
            const std::int64_t end = chunk + across_limit < last ? chunk + across_limit : last;
            each_exp(chunk, end, base, [&](std::int64_t i, FloatLanes, Exp<T> e) NORMEXP_INLINE_LAMBDA {
                keep_single(&kept[i - chunk], e);
            });
            if (one_chunk) break;
            for (int k = 0; k < lane_count; ++k) {
                Sum sum = chunk == first ? no_shares<T>() : partial[k];
                for (std::int64_t i = k; i < end - chunk; i += lane_count) fold_into(sum, kept_single<T>(&kept[i]));
                partial[k] = sum;
            }
        }
        // The first step of the tree, as the sums come.
        constexpr int half = lane_count / 2;
        const int used = last - first < lane_count ? int(last - first) : lane_count;
        Lanes sums[half];
        FloatLanes lows[half];
        const auto add_up = [&](auto sum_of) NORMEXP_INLINE_LAMBDA {
            const FloatLanes none = broadcast<FloatLanes>(0.0);
#pragma GCC unroll 8
            for (int k = 0; k < half; ++k) {
                if (k >= used) break;
                const auto a = sum_of(k);
                sums[k] = whole_first(a), lows[k] = add_second_word(none, a);
                if (k + half >= used) continue;
                const auto b = sum_of(k + half);
                sums[k] = sums[k] + whole_first(b), lows[k] = add_second_word(lows[k], b);
            }
        };
        if (short_block)
            add_up([&](int k) NORMEXP_INLINE_LAMBDA { return kept_single<T>(&kept[k]); });
        else if (one_chunk)
            add_up([&](int k) NORMEXP_INLINE_LAMBDA {
                Sum sum = no_shares<T>();
                for (std::int64_t i = k; i < last - first; i += lane_count) fold_into(sum, kept_single<T>(&kept[i]));
                return value_of(sum);
            });
        else
            add_up([&](int k) NORMEXP_INLINE_LAMBDA { return value_of(partial[k]); });
        return tree_sum<half>(sums, lows, used);
    }

    // Sets `fine` to false where a row needs the arithmetic of another.
    State<Width, Lanes> fold(std::int64_t first, std::int64_t last) {
        const auto best = block_max_across(first, last);
        const Lanes max = widen(best), zero = broadcast<Lanes>(0.0), one = broadcast<Lanes>(1.0);
        const Lanes from = where_equal(max, broadcast<Lanes>(-infinity), zero, max);
        const auto poisoned = [&](Num<Width, Lanes> rest) NORMEXP_INLINE_LAMBDA {
            return where_greater(max, broadcast<Lanes>(largest_finite), number<Num<Width, Lanes>>(quiet_nan), rest);
        };
        if constexpr (may_be_single) {
            const unsigned singles =
                equal_lanes(where_greater(larger(from, -from), broadcast<Lanes>(single_limit), one, zero), 0.0);
            if (singles == every_lane)
                return {max, job.op == Op::softmax
                                 ? sum_shares_across(first, last, narrow(from)) * single_factor(from) - one
                                 : poisoned(fold_single_across(first, last, best, narrow(from)))};
            if (singles) fine = false;
            all_single = false;
        }
        Num<Width, Lanes> partial[lane_count];
        for (auto& p : partial) p = number<Num<Width, Lanes>>(0.0);
        Lanes unseen = one;  // 1 until the row's first maximum has gone by: that one is left out of the sum
        for (std::int64_t i = first; i < last; ++i) {
            const Lanes v = wide_logits(i);
            auto e = exp_of_block<Width>(difference<Width, scaled>(v, from, scale));
            if (keeps) kept[i] = e;
            const Lanes left_out = where_equal(v, max, unseen, zero);
            unseen = unseen - left_out;
            e = where_greater(left_out, zero, number<Num<Width, Lanes>>(0.0), e);
            partial[i % lane_count] = accumulate(partial[i % lane_count], e);
        }
        return {max, poisoned(scale_by(tree_sum(partial, last - first), Width::unscale))};
    }
    State<Width, Lanes> reduce() {
        State<Width, Lanes> state;
        for (std::int64_t block = 0; block < block_count(job); ++block) {
            const std::int64_t first = block * block_size, last = first + block_size;
            const auto next = fold(first, last < job.length ? last : job.length);
            if (maxima) maxima[block] = next.max;
            state = block == 0 ? next : merge<Width, scaled>(state, next, scale);
        }
        return state;
    }

    // Where to write the sixteen rows; send() then takes them on to their place, if they are not there yet. (Results that are
    // streamed lie row behind row.)
    char* place(char* out) { return job.stream ? reinterpret_cast<char*>(results) : out; }
    void send(const char* from, char* out) const {
        if (from != out) stream_copy(out, from, std::size_t(job.length) * lane_count * sizeof(T));
    }

    // Writes f(i), class i of the sixteen rows.
    template <class F>
    void write(char* out, F f) {
        const std::int64_t apart = rows_axis().out;
        if (staged && apart != sizeof(T) && classes_side_by_side(job.row[0].out))
            return lanes_to_rows<T>(f, job.length, out, apart);
        visit_row([&](std::int64_t i, const Offsets& in_row) NORMEXP_INLINE_LAMBDA {
            char* to = out + in_row.out;
            if (apart == sizeof(T)) {
                store_any(reinterpret_cast<T*>(to), f(i));
            } else {
                T results[lane_count];
                store_any(results, f(i));
                for (int lane = 0; lane < lane_count; ++lane) std::memcpy(to + lane * apart, results + lane, sizeof(T));
            }
        });
    }

    // The base that a block's exponentials are measured from; the row's max if the row is one block.
    Lanes base(std::int64_t block, const State<Width, Lanes>& state) const {
        return maxima ? base_of<Width, scaled>(maxima[block], state.max, scale) : state.max;
    }
    // factor_of() of lse.hpp, which is 1 / (1 + rest) where the base is the row's max.
    Num<Width, Lanes> factor(Lanes from, const State<Width, Lanes>& state) const {
        if (maxima) return factor_of<Width, scaled>(from, state, scale);
        return scale_by(reciprocal(add(broadcast<Lanes>(1.0), state.rest)), Width::unscale);
    }
    // Softmax of the sixteen rows times their gains, which are 1, or for gradients the derivatives by their losses.
    void softmax(char* out, const State<Width, Lanes>& state, Lanes gain) {
        Lanes from = base(0, state);
        auto share = times(factor(from, state), gain);
        if (staged) return write(out, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return softmax_of(kept[i], share); });
        write(out, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
            if (i % block_size == 0) from = base(i / block_size, state), share = times(factor(from, state), gain);
            return softmax_of(exp_of_block<Width>(difference<Width, scaled>(wide_logits(i), from, scale)), share);
        });
    }
    // The same in float arithmetic; false, and nothing written, if a factor does not fit a float.
    bool softmax_single(char* out, const State<Width, Lanes>& state, Lanes gain) {
        const auto share = [&](Lanes b)
                               NORMEXP_INLINE_LAMBDA { return times(factor(b, state), gain) * single_factor(b); };
        SingleBase from;
        decltype(factor_words<T>(Lanes{})) words;
        const auto start = [&](std::int64_t block) {
            const Lanes b = base(block, state), whole = share(b);
            from = single_base(narrow(b)), words = factor_words<T>(whole);
            return all_fit_single(whole);
        };
        if (maxima)
            for (std::int64_t block = 1; block < block_count(job); ++block)
                if (!all_fit_single(share(base(block, state)))) return false;
        if (!start(0)) return false;
        if (staged) {
            write(out,
                  [&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return softmax_of(kept_single<T>(&kept[i]), words); });
        } else {
            write(out, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
                if (i % block_size == 0 && i > 0) start(i / block_size);
                return softmax_of(exp_of<T>(load_floats(logits(i)), from), words);
            });
        }
        return true;
    }
    static bool all_fit_single(Lanes factor) {
        const Lanes zero = broadcast<Lanes>(0.0), one = broadcast<Lanes>(1.0);
        const Lanes size = where_greater(zero, factor, -factor, factor);
        const Lanes small =
            where_greater(broadcast<Lanes>(least_factor<T>), size, where_equal(size, zero, zero, one), zero);
        return all_zero(small + where_greater(size, broadcast<Lanes>(single_most), one, zero));
    }
    // In whichever arithmetic the reduction was; false, and nothing written, where only rows.hpp can.
    bool write_softmax(char* out, const State<Width, Lanes>& state, Lanes gain) {
        if constexpr (may_be_single)
            if (all_single) return softmax_single(out, state, gain);
        softmax(out, state, gain);
        return true;
    }
    // Reduces the sixteen rows that begin at these offsets; false if one of them needs the care that only rows.hpp takes:
    // an infinity, a NaN, a row whose blocks are not all computed in the same arithmetic.
    bool reduce_at(const Offsets& at, State<Width, Lanes>& state) {
        move_to(at);
        fine = true, all_single = may_be_single;
        state = reduce();
        const Lanes rest = leading(state.rest);
        fine = fine && all_zero((state.max - state.max) + (rest - rest));  // all finite: inf - inf is NaN
        return fine && !(maxima && may_be_single && !all_single);
    }

    // As softmax_of_one_block() in rows.hpp; false, and nothing written, if a row is for that.
    bool softmax_of_one_block(const Offsets& at) {
        move_to(at);
        const FloatLanes max = block_max_across(0, job.length), zero = broadcast<FloatLanes>(0.0);
        const FloatLanes far = where_greater(larger(max, zero - max), broadcast<FloatLanes>(single_limit), max, zero);
        if (equal_lanes(far, 0.0) != every_lane) return false;
        const Lanes sum = sum_shares_across(0, job.length, max);
        if (!all_zero(sum - sum)) return false;
        const auto words = factor_words<T>(broadcast<Lanes>(1.0) / sum);
        char *const out = job.out + at.out, *const to = place(out);
        write(to, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA { return softmax_of(kept_single<T>(&kept[i]), words); });
        send(to, out);
        return true;
    }

    // Handles rows [row, row + 16) and returns true, or returns false if one of them is for rows.hpp.
    bool handle(std::int64_t row) {
        const Offsets at = row_offsets(job, row);
        if constexpr (may_be_single)
            if (job.op == Op::softmax && job.length <= across_limit) return softmax_of_one_block(at);
        State<Width, Lanes> state;
        if (!reduce_at(at, state)) return false;
        char *const out = job.out + at.out, *const to = place(out);
        if (job.op == Op::softmax) {
            if (!write_softmax(to, state, broadcast<Lanes>(1.0))) return false;
            send(to, out);
        } else if (job.op == Op::log_softmax) {
            const auto log_sum = log1p<Width>(state.rest);
            write(to, [&](std::int64_t i) NORMEXP_INLINE_LAMBDA {
                return log_softmax_of(difference<Width, scaled>(wide_logits(i), state.max, scale), log_sum);
            });
            send(to, out);
        } else {
            double value[lane_count], max[lane_count];
            store_doubles(value, state_value(state));
            store_doubles(max, state.max);
            for (int lane = 0; lane < lane_count; ++lane)
                if (cancels(value[lane], max[lane], Width::two_words ? wide_margin_float64 : narrow_margin) ||
                    (!Width::two_words && cancels_single(value[lane], max[lane])))
                    return false;
            T results[lane_count];
            store(results, load_doubles(value));
            for (int lane = 0; lane < lane_count; ++lane)
                std::memcpy(out + lane * rows_axis().out, results + lane, sizeof(T));
        }
        return true;
    }
};

}  // namespace normexp::NORMEXP_LEVEL
