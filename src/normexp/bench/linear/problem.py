"""The arrays of a last layer and its loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from normexp.bench.cell import Array, Front, Shape, element_type

OPERATION: Final = "linear_cross_entropy"

# N, H, V. The others of docs/linear_cross_entropy.md take minutes with the chunked function of PyTorch.
DEFAULT_SHAPE: Final[Shape] = (1024, 512, 32_000)

_SEED: Final = 22


@dataclass(frozen=True)
class Problem:
    """Hidden states, weights and labels, of which the mean loss and its gradients by the first two are wanted."""

    hidden: Array
    """N x H."""
    weight: Array
    """V x H."""
    target: NDArray[np.int64]
    """N labels."""
    threads: int
    front: Front
    """Which of ours takes part: normexp, or normexp.torch."""
    any_rows: bool = False
    """Whether what is compiled for it is to take other numbers of rows, too."""

    @classmethod
    def make(cls, shape: Shape, dtype: str, threads: int, front: Front) -> Problem:
        """Draw normal hidden states and weights that give logits of spread 1, and labels.

        Raises
        ------
        MemoryError
            The arrays do not fit.
        """
        rows, features, classes = shape
        element = element_type(dtype)
        work = np.float64 if dtype == "float64" else np.float32
        random = np.random.default_rng(_SEED)
        hidden = random.standard_normal((rows, features), dtype=work)
        weight = random.standard_normal((classes, features), dtype=work)
        weight /= work(features**0.5)
        target = random.integers(classes, size=rows)
        return cls(hidden.astype(element, copy=False), weight.astype(element, copy=False), target, threads, front)

    def of_rows(self, count: int) -> Problem:
        """Return the problem of the first rows."""
        return replace(self, hidden=self.hidden[:count], target=self.target[:count])

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, H, V."""
        return *self.hidden.shape, len(self.weight)

    @property
    def dtype(self) -> np.dtype:
        """Of the hidden states and the weights."""
        return self.hidden.dtype

    @property
    def logits_bytes(self) -> int:
        """What all logits would take."""
        return len(self.hidden) * len(self.weight) * self.dtype.itemsize

    @property
    def gradients_bytes(self) -> int:
        """What the results take: as much as the arguments."""
        return self.hidden.nbytes + self.weight.nbytes

    @property
    def operations(self) -> int:
        """Multiplications and additions of the three products that every way has to make."""
        rows, features, classes = self.shape
        return 6 * rows * features * classes

    @property
    def title(self) -> str:
        """The problem in words."""
        through = ", through normexp.torch" if self.front == "torch" else ""
        return f"{OPERATION}, {' x '.join(map(str, self.shape))} {self.dtype}{through}"
