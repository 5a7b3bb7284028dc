// Sums of exponentials that come to nearly 1, so that their logarithm is nearly 0: the logsumexp of log-probabilities.
// Its digits are those of the sum below the 1: two float64 can ask for them 2^-76 down, three 2^-103. Fixed point has
// them: 192 bits behind the point, about a quarter of a microsecond a term, for the rare row that needs it. (Four and
// more numbers made for it can ask without end: below about 2^-130 a result is right to 2^-185 absolutely, no more.)
#pragma once

#include <cstdint>

namespace normexp {

class FixedSum {
public:
    // Adds exp(x), x <= 0, with an error below 2^-185.
    void add(double x);
    // log of the sum, if that is within 2^-13 of 1.
    double log() const;

private:
    std::uint64_t words_[4] = {0, 0, 0, 0};  // lowest first; the last one stands before the point
};

}  // namespace normexp
