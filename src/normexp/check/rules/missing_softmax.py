"""NX106 missing-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX106",
    name="missing-softmax",
    severity="error",
    summary="Logits are given to a loss that takes probabilities.",
    why="""\
Keras' cross-entropies take probabilities unless told `from_logits=True`. Given logits, Keras clips them to the range
from 1e-7 to 1 - 1e-7 before it takes the logarithm. What is clipped has no gradient; what the optimiser then follows
is not the cross-entropy. (PyTorch's BCELoss takes probabilities, too, and stops where it meets a value outside of 0
to 1: it needs no rule.)

Say `from_logits=True`, which is also the accurate way, or end the model with a softmax (a sigmoid for binary losses).
""",
    bad="""\
import keras

model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
""",
    good="""\
import keras

model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
    references=(
        (
            "Keras: probabilistic losses",
            "https://keras.io/api/losses/probabilistic_losses/",
        ),
        (
            "torch.nn.BCELoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html",
        ),
    ),
)


def find(event: Event) -> Problem | None:
    """Find raw outputs of a layer that a loss takes as probabilities."""
    value = event.tensor()
    if event.operation != "cross_entropy_of_probabilities" and (event.operation, event.library) != BINARY:
        return None
    if value.kind is Kind.LOG_PROBABILITIES:
        return Problem(f"{event.shown} takes probabilities, but gets their logarithms: use softmax.", value)
    if value.kind is not Kind.LOGITS:
        return None
    told = "take the softmax first" if "kl" in event.shown.lower() else "say from_logits=True"
    return Problem(f"{event.shown} takes probabilities, but gets logits: {told}.", value)


# PyTorch's stops with an error where it meets a value that is no probability.
BINARY: Final = ("binary_cross_entropy", "keras")
