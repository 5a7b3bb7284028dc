"""One real case: the logits of a small network trained on scikit-learn's digits, and the loss of each row."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normexp.verify import oracle
from normexp.verify.contract import BOUNDS
from normexp.verify.measure import Ruler
from normexp.verify.peers import Array, Implementation, UnsupportedError
from normexp.verify.words import number, numbers

_HIDDEN: Final = 64
_EPOCHS: Final = 200


@dataclass(frozen=True)
class Score:
    """What one implementation makes of the losses."""

    max_ulp: float
    worst: str
    zeros: int
    """Losses that come out as exactly 0; no true one is."""
    mean: float


@dataclass(frozen=True)
class Digits:
    """The case and the scores, normexp's first."""

    rows: int
    accuracy: float
    largest_gap: float
    exact_mean: float
    smallest: str
    scores: dict[str, Score]

    @property
    def passed(self) -> bool:
        """Whether normexp keeps its contract."""
        return next(iter(self.scores.values())).max_ulp <= BOUNDS["float32"]

    def document(self) -> dict[str, Any]:
        """Return this case for the JSON file."""
        return {
            "rows": self.rows,
            "accuracy": self.accuracy,
            "largest_gap": self.largest_gap,
            "exact_mean_loss": self.exact_mean,
            "smallest_exact_loss": self.smallest,
            "scores": {name: vars(score) for name, score in self.scores.items()},
            "passed": self.passed,
        }


@functools.cache
def load() -> tuple[Array, Array]:
    """Return the images, 64 numbers from 0 to 1 each, and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data / 16, data.target


def logits() -> Array:
    """Train a network of one hidden layer and return its float32 logits for all images."""
    from sklearn.neural_network import MLPClassifier

    images, labels = load()
    network = MLPClassifier((_HIDDEN,), max_iter=_EPOCHS, learning_rate_init=0.01, tol=0, random_state=0)
    with warnings.catch_warnings():
        # Whether it has converged does not matter here.
        warnings.simplefilter("ignore")
        network.fit(images, labels)
    hidden = np.maximum(0, images @ network.coefs_[0] + network.intercepts_[0])
    return np.asarray(hidden @ network.coefs_[1] + network.intercepts_[1], dtype=np.float32)


def run(implementations: Sequence[Implementation]) -> Digits:
    """Compute the losses with every implementation; normexp is the first."""
    x, labels = logits(), load()[1]
    exact = [oracle.cross_entropy(row, label) for row, label in zip(x, labels.tolist(), strict=True)]
    ruler = Ruler(exact, x.dtype)
    scores: dict[str, Score] = {}
    for implementation in implementations:
        try:
            losses = implementation.loss("cross_entropy", x, labels)
        except UnsupportedError:
            continue
        errors = ruler.errors(losses)
        worst = int(errors.argmax())
        scores[implementation.name] = Score(
            float(errors[worst]),
            f"row {worst}, {numbers(np.sort(x[worst])[::-1])}: {number(losses[worst], 9)}, "
            f"exactly {exact[worst].str(9, radius=False)}",
            int((losses == 0).sum()),
            float(losses.mean(dtype=np.float64)),
        )
    ordered = np.sort(x, axis=1)
    values = [float(value) for value in exact]
    return Digits(
        len(labels),
        float((x.argmax(axis=1) == labels).mean()),
        float((ordered[:, -1] - ordered[:, -2]).max()),
        float(np.mean(values)),
        exact[int(np.argmin(values))].str(4, radius=False),
        scores,
    )
