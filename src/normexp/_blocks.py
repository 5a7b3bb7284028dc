"""How linear_cross_entropy cuts its work: chunks of rows for the products, blocks of them for the loss.

One schedule, for every chunk of rows: the logits of all classes (a product), their loss, its gradient in their place,
and the two products that bring it to the hidden states and to the weights, whose gradient is added up over the chunks.
Three products in all. The other schedule known, chunks of classes with the log-sum-exp of all rows first, takes four,
since it needs the logits twice; docs/linear_cross_entropy.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, SupportsIndex

from normexp._arrays import as_integer

_MIB: Final = 2**20
# The promise: so much beside arguments and gradients, or a sixteenth of the logits if that is more.
_PROMISED: Final = 64 * _MIB
# What is no block of ours: what the platform's products pack and keep (13 MiB with oneDNN, 18 with MKL, measured),
# and gathered rows.
_OTHERS: Final = 28 * _MIB
# What is widened or added within a product: as much as the second-level cache holds (1 MiB a core or more).
_CACHED: Final = 2 * _MIB
# Floats in a cache line.
_SIXTEEN: Final = 16


class Blocks(NamedTuple):
    """How many rows go into the products together, and into the loss together."""

    chunk: int
    loss: int


def cut(start: int, stop: int, most: int) -> Iterator[slice]:
    """Cut a range into pieces of nearly the same size, whole sixteens all but the last, if there are to be several."""
    count = stop - start
    if count > most:
        # Rows of 188 floats begin anywhere in a cache line: MKL's products take 1.17 of the time they take with 192
        # (50,257 classes, 768 features), and oneDNN's in bfloat16 with 375 rows 1.07 of that with 368, a row.
        most = max(most // _SIXTEEN * _SIXTEEN, min(most, _SIXTEEN))
        pieces = -(-count // most)
        even = -(-count // pieces)
        most = min(most, -(-even // _SIXTEEN) * _SIXTEEN)
    for first in range(start, stop, max(most, 1)):
        yield slice(first, min(first + most, stop))


def as_budget(memory_budget: SupportsIndex | None, logits_bytes: int) -> int:
    """Return how many bytes blocks may take together."""
    if memory_budget is None:
        return max(_PROMISED, logits_bytes // 16) - _OTHERS
    budget = as_integer(memory_budget, "memory_budget must be an integer, a number of bytes")
    if budget <= 0:
        raise ValueError(f"memory_budget must be a positive number of bytes, not {budget}")
    return budget


def blocks_of(rows: int, classes: int, budget: int, *, chunk_bytes: int, block_bytes: int) -> Blocks:
    """Choose the sizes; at least one row is taken at a time, whatever the budget.

    chunk_bytes: what a logit takes in a chunk; block_bytes: and in a block besides, for which is half of the budget.
    """
    rows, classes = max(rows, 1), max(classes, 1)

    def rows_in(bytes_of_all: int, bytes_of_logit: int) -> int:
        return max(1, min(rows, bytes_of_all // (classes * bytes_of_logit))) if bytes_of_logit else rows

    loss = rows_in(min(budget // 2, 4 * _CACHED), block_bytes)
    return Blocks(rows_in(budget - loss * classes * block_bytes, chunk_bytes), loss)


def panels(classes: int, width: int) -> Iterator[slice]:
    """Cut the classes, where each has so many float32, into panels that stay in the cache, or of 256 classes."""
    return cut(0, classes, max(256, _CACHED // (4 * max(width, 1))))
