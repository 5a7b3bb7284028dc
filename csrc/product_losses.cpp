// Compiled once per CPU level, as kernels.cpp is: the entry point for losses of a rounded product.
#include "product_losses.hpp"

#include "kernels.hpp"

namespace normexp::NORMEXP_LEVEL {

void product_losses(const Job& job, const Product& product, std::int64_t first, std::int64_t last, PlainSum* result) {
    static thread_local Kept<Single> kept;
    static thread_local Chosen chosen;
    kept.reserve(block_count(job));
    Row<BFloat> row(job);
    LossSum sum;
    for (std::int64_t i = first; i < last; ++i) row.move_to(i), product_row(row, product, kept, chosen, sum);
    *result = sum.value();
}

}  // namespace normexp::NORMEXP_LEVEL
