"""How linear_cross_entropy cuts its work: chunks of rows for the products, blocks of rows for the loss.

One schedule: for each chunk of rows, the logits of all classes (a product), their loss and its gradient in place, and
the two products that bring it to the hidden states and the weights, whose gradient is added up over the chunks. Three
products in all. The other one known, chunks of classes with the log-sum-exp of all rows first, takes four, since the
logits are needed twice; docs/linear_cross_entropy.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, SupportsIndex

from normexp._arrays import as_integer

_MIB: Final = 2**20
# The promise is 64 MiB beside arguments and gradients, or a sixteenth of the logits if that is more. A quarter of it is
# left to what is no block of ours: packed copies within the platform's products (6 to 8 MiB for oneDNN and MKL on two
# threads), stacks of threads, the gathered rows.
_LEAST_BUDGET: Final = 48 * _MIB
_SHARE_OF_LOGITS: Final = 16 * 4 / 3
# What a loss block may hold, so that it is still in the second-level cache (1 MiB a core or more) when its gradient is
# computed and when it is narrowed.
_CACHED: Final = 2 * _MIB


class Blocks(NamedTuple):
    """How many rows go into the products together, and into the loss together."""

    chunk: int
    loss: int

    def chunks(self, rows: int) -> Iterator[slice]:
        """Cut rows into chunks of nearly the same size."""
        return _cut(rows, self.chunk)

    def loss_blocks(self, rows: int) -> Iterator[slice]:
        """Cut the rows of a chunk."""
        return _cut(rows, self.loss)


def _cut(rows: int, most: int) -> Iterator[slice]:
    pieces = -(-rows // most)
    for i in range(pieces):
        yield slice(rows * i // pieces, rows * (i + 1) // pieces)


def as_budget(memory_budget: SupportsIndex | None, logits_bytes: int) -> int:
    """Return how many bytes blocks may take together."""
    if memory_budget is None:
        return max(_LEAST_BUDGET, int(logits_bytes / _SHARE_OF_LOGITS))
    budget = as_integer(memory_budget, "memory_budget must be an integer, a number of bytes")
    if budget <= 0:
        raise ValueError(f"memory_budget must be a positive number of bytes, not {budget}")
    return budget


def blocks_of(
    rows: int, classes: int, budget: int, threads: int, *, itemsize: int, chunk_bytes: int, block_bytes: int
) -> Blocks:
    """Choose the sizes; at least one row is taken at a time, whatever the budget.

    itemsize: of a logit in the loss; chunk_bytes: what a logit takes in a chunk; block_bytes: and in a block besides.
    """
    rows, classes = max(rows, 1), max(classes, 1)
    loss = min(rows, max(1, threads, _CACHED // (classes * itemsize)))
    if block_bytes:
        loss = min(loss, max(1, budget // (4 * classes * block_bytes)))
    left = budget - loss * classes * block_bytes
    return Blocks(max(1, min(rows, left // (classes * chunk_bytes))), loss)


def classes_at_once(width: int) -> int:
    """How many classes to take of arrays of so many float32 a class, so that both stay in the cache."""
    return max(256, _CACHED // (4 * max(width, 1)))
