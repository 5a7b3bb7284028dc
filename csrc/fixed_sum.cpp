#include "fixed_sum.hpp"

#include <cmath>
#include <cstring>

namespace normexp {
namespace {

using Word = std::uint64_t;
using DoubleWord = unsigned __int128;

// Four words, lowest first, the last one before the point.
struct Fixed {
    Word word[4];
};

constexpr Word ln2[3] = {0x40f343267298b62d, 0xc9e3b39803f2f6af, 0xb17217f7d1cf79ab};  // floor(2^192 ln 2)
constexpr int terms = 44;                                                              // ln(2)^45 / 45! < 2^-205

void add_to(Word* sum, const Word* a, int count) {
    Word carry = 0;
    for (int i = 0; i < 4; ++i) {
        const DoubleWord s = DoubleWord(sum[i]) + (i < count ? a[i] : 0) + carry;
        sum[i] = Word(s), carry = Word(s >> 64);
    }
}
// a - b; true if that is negative (and then it has wrapped around).
bool subtract(Word* a, const Word* b, int count) {
    Word borrow = 0;
    for (int i = 0; i < 4; ++i) {
        const DoubleWord d = DoubleWord(a[i]) - (i < count ? b[i] : 0) - borrow;
        a[i] = Word(d), borrow = Word(d >> 64) & 1;
    }
    return borrow;
}
// r * p for a fraction r.
Fixed multiply(const Word* r, const Fixed& p) {
    Word product[7] = {};
    for (int i = 0; i < 3; ++i) {
        Word carry = 0;
        for (int j = 0; j < 4; ++j) {
            const DoubleWord t = DoubleWord(r[i]) * p.word[j] + product[i + j] + carry;
            product[i + j] = Word(t), carry = Word(t >> 64);
        }
        if (i + 4 < 7) product[i + 4] = carry;
    }
    return {{product[3], product[4], product[5], product[6]}};
}
void shift_right(Word* a, int bits) {
    for (; bits >= 64; bits -= 64) a[0] = a[1], a[1] = a[2], a[2] = a[3], a[3] = 0;
    if (!bits) return;
    for (int i = 0; i < 4; ++i) a[i] = a[i] >> bits | (i < 3 ? a[i + 1] << (64 - bits) : 0);
}

struct Inverses {
    Fixed of[terms + 1];  // 1/k!, rounded down
    Inverses() {
        of[0] = {{0, 0, 0, 1}};
        for (int k = 1; k <= terms; ++k) {
            Word rest = 0;
            for (int i = 3; i >= 0; --i) {
                const DoubleWord dividend = DoubleWord(rest) << 64 | of[k - 1].word[i];
                of[k].word[i] = Word(dividend / unsigned(k)), rest = Word(dividend % unsigned(k));
            }
        }
    }
};

// |x| < 2^8 in fixed point; what lies below 2^-192 is dropped.
Fixed magnitude(double x) {
    int exponent;
    const Word significand = Word(std::ldexp(std::frexp(-x, &exponent), 53));  // -x = significand * 2^(exponent - 53)
    Fixed f{{significand, 0, 0, 0}};
    int left = exponent - 53 + 192;
    if (left < 0) {
        shift_right(f.word, left > -64 ? -left : 64);
        return f;
    }
    for (; left >= 64; left -= 64) f.word[3] = f.word[2], f.word[2] = f.word[1], f.word[1] = f.word[0], f.word[0] = 0;
    if (left)
        for (int i = 3; i >= 0; --i) f.word[i] = f.word[i] << left | (i > 0 ? f.word[i - 1] >> (64 - left) : 0);
    return f;
}

}  // namespace

void FixedSum::add(double x) {
    static const Inverses inverse_factorials;
    if (!(x > -130.0)) return;  // 2^-187: beyond the last place of 2^-134, and 2^14 of them of 2^-120
    // x = r - n ln 2 with 0 <= r < ln 2: everything stays positive.
    const int n = int(std::ceil(-x * 1.4426950408889634)) + 1;
    Fixed r{{0, 0, 0, 0}};
    for (int i = 0; i < n; ++i) add_to(r.word, ln2, 3);
    const Fixed a = magnitude(x);
    subtract(r.word, a.word, 4);
    int halvings = n;
    for (Fixed less = r; !subtract(less.word, ln2, 3); less = r) r = less, --halvings;
    Fixed p = inverse_factorials.of[terms];
    for (int k = terms - 1; k >= 0; --k) {
        p = multiply(r.word, p);
        add_to(p.word, inverse_factorials.of[k].word, 4);
    }
    shift_right(p.word, halvings);
    add_to(words_, p.word, 4);
}

double FixedSum::log() const {
    Word rest[4] = {words_[0], words_[1], words_[2], words_[3]};
    const Word one[4] = {0, 0, 0, 1};
    const bool below = words_[3] == 0;
    if (below) {
        std::memcpy(rest, one, sizeof rest);
        subtract(rest, words_, 4);
    } else {
        subtract(rest, one, 4);
    }
    // The two highest words that are not zero hold 65 significant bits at least; their sum rounds twice, by 2^-64 at most
    // the first time.
    double value = 0;
    int seen = 0;
    for (int i = 3; i >= 0 && seen < 2; --i) {
        if (!rest[i] && !seen) continue;
        value += std::ldexp(double(rest[i]), 64 * (i - 3));
        ++seen;
    }
    const double delta = below ? -value : value;
    return delta - delta * delta * (0.5 - delta * (1.0 / 3 - delta * 0.25));
}

}  // namespace normexp
