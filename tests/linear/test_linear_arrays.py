"""linear_cross_entropy of NumPy arrays: the loss of all logits, its gradients by the chain rule, in any chunks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support import DTYPES

from normexp import (
    cross_entropy,
    cross_entropy_and_grad,
    linear_cross_entropy,
    linear_cross_entropy_and_grad,
    logsumexp,
    softmax,
)

ROWS, FEATURES, CLASSES = 19, 7, 23
BUDGETS = {"one chunk": None, "chunks of three rows": 3 * CLASSES * 8, "rows one by one": 1}
# Sums of 19 x 23 terms in another order: some 1e-15 of the largest, which is about 20.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def problem(dtype: Any = np.float64, probabilities: bool = False, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Hidden states, weights, biases and a target."""
    random = np.random.default_rng(seed)
    x, weight, bias = (random.normal(size=s).astype(dtype) for s in ((ROWS, FEATURES), (CLASSES, FEATURES), (CLASSES,)))
    target = random.random((ROWS, CLASSES)) if probabilities else random.integers(CLASSES, size=ROWS)
    return x, weight, bias, target


GRID = [
    call
    for call in itertools.product(("mean", "sum", "none"), (0.0, 0.1), *[(False, True)] * 4)
    if not (call[2] and call[5])  # probabilities have nothing to ignore
]


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize(("reduction", "smoothing", "probabilities", "biased", "weighted", "ignored"), GRID)
def test_values_and_gradients(
    reduction: str,
    smoothing: float,
    probabilities: bool,
    biased: bool,
    weighted: bool,
    ignored: bool,
    budget: int | None,
) -> None:
    x, weight, bias, target = problem(probabilities=probabilities)
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    if weighted:
        options["weight"] = np.random.default_rng(1).random(CLASSES) + 0.25
    if ignored:
        options["ignore_index"] = int(target[0])
    bias = bias if biased else None
    got = linear_cross_entropy_and_grad(x, weight, target, bias=bias, memory_budget=budget, **options)
    want = cross_entropy_and_grad(x @ weight.T + (0 if bias is None else bias), target, **options)
    np.testing.assert_allclose(got.loss, want.loss, **CLOSE)
    np.testing.assert_allclose(got.hidden, want.grad @ weight, **CLOSE)
    np.testing.assert_allclose(got.weight, want.grad.T @ x, **CLOSE)
    assert (got.bias is None) is (bias is None)
    if biased:
        np.testing.assert_allclose(got.bias, want.grad.sum(0), **CLOSE)
    alone = linear_cross_entropy(x, weight, target, bias=bias, memory_budget=budget, **options)
    np.testing.assert_array_equal(alone, got.loss)


def test_what_is_done_to_logits() -> None:
    """In the order softcap, temperature; and the square of the log-sum-exp, added to each row."""
    x, weight, bias, target = problem()
    logits = 1.5 * np.tanh((x @ weight.T + bias) / 1.5) / 0.7
    want = cross_entropy(logits, target, reduction="none") + 0.1 * logsumexp(logits) ** 2
    options = {"bias": bias, "softcap": 1.5, "temperature": 0.7, "z_loss": 0.1, "memory_budget": 500}
    each = linear_cross_entropy(x, weight, target, reduction="none", **options)
    np.testing.assert_allclose(each, want, **CLOSE)
    np.testing.assert_allclose(linear_cross_entropy(x, weight, target, **options), want.mean(), **CLOSE)
    made = linear_cross_entropy_and_grad(x, weight, target, **options)
    shares = softmax(logits)
    by_logits = shares - np.eye(CLASSES)[target] + 0.2 * logsumexp(logits)[:, None] * shares
    by_product = by_logits / ROWS * (1 - (logits * 0.7 / 1.5) ** 2) / 0.7
    np.testing.assert_allclose(made.hidden, by_product @ weight, **CLOSE)
    np.testing.assert_allclose(made.weight, by_product.T @ x, **CLOSE)
    np.testing.assert_allclose(made.bias, by_product.sum(0), **CLOSE)


@pytest.mark.parametrize("grads", [(), ("hidden",), ("weight", "bias"), {"bias"}], ids=str)
def test_only_what_is_asked_for(grads: Any) -> None:
    x, weight, bias, target = problem()
    every = linear_cross_entropy_and_grad(x, weight, target, bias=bias)
    some = linear_cross_entropy_and_grad(x, weight, target, bias=bias, grads=grads)
    np.testing.assert_array_equal(some.loss, every.loss)
    for name in ("hidden", "weight", "bias"):
        if name in grads:
            np.testing.assert_array_equal(getattr(some, name), getattr(every, name))
        else:
            assert getattr(some, name) is None


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("kind", DTYPES)
def test_dtypes(kind: str, budget: int | None) -> None:
    """Half types: within the rounding of their gradients of what the same numbers give in float64."""
    x, weight, bias, target = problem(DTYPES[kind])
    got = linear_cross_entropy_and_grad(x, weight, target, bias=bias, memory_budget=budget)
    exact = linear_cross_entropy_and_grad(*(a.astype(np.float64) for a in (x, weight)), target, bias=bias.astype(float))
    assert got.loss.dtype == (np.float64 if kind == "float64" else np.float32)
    np.testing.assert_allclose(got.loss, exact.loss, rtol={"float64": 1e-14}.get(kind, 1e-6))
    # A sum over chunks of rows is rounded after each, of which there are 19 at most.
    eps = {"float64": 1e-15, "float32": 1e-7, "float16": 2.0**-11, "bfloat16": 2.0**-8}[kind]
    for name, like in (("hidden", x), ("weight", weight), ("bias", bias)):
        made, want = getattr(got, name), getattr(exact, name)
        assert made.dtype == like.dtype
        assert np.abs(made.astype(float) - want).max() <= 10 * eps * np.abs(want).max()


def test_mixed_dtypes_lists_and_leading_axes() -> None:
    x, weight, _, target = problem()
    want = linear_cross_entropy(x, weight, target)
    half = linear_cross_entropy_and_grad(x.astype(np.float32), weight, target)
    assert half.loss.dtype == np.float64
    assert half.hidden is not None
    assert half.hidden.dtype == np.float32
    assert linear_cross_entropy(x.tolist(), weight.tolist(), target.tolist()) == want
    x, target = np.stack([x, x[::-1]]), np.stack([target, target[::-1]])
    made = linear_cross_entropy_and_grad(x, weight, target, reduction="none")
    assert made.loss.shape == (2, ROWS)
    assert made.hidden is not None
    assert made.hidden.shape == x.shape
    one = linear_cross_entropy_and_grad(x[0, 3], weight, target[0, 3])
    np.testing.assert_allclose(one.loss, made.loss[0, 3], **CLOSE)
    np.testing.assert_allclose(one.hidden, made.hidden[0, 3], **CLOSE)


LAYOUTS = {
    "column by column": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout: Any, which: int) -> None:
    x, weight, _, target = problem()
    want = linear_cross_entropy_and_grad(x, weight, target)
    arguments = [x, weight]
    arguments[which] = layout(arguments[which])
    got = linear_cross_entropy_and_grad(*arguments, target)
    for one, other in zip(got[:3], want[:3], strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("target", [np.full(4, -100), np.zeros(0, int)], ids=["all ignored", "no rows"])
def test_nothing_to_do(target: np.ndarray, reduction: str) -> None:
    made = linear_cross_entropy_and_grad(np.ones((len(target), 3)), np.ones((5, 3)), target, reduction=reduction)
    want = {"mean": np.nan, "sum": 0.0, "none": np.zeros(len(target))}[reduction]
    np.testing.assert_array_equal(made.loss, want)
    assert made.hidden is not None
    assert made.weight is not None
    assert not made.hidden.any()
    assert not made.weight.any()


def test_ignored_rows_may_hold_anything() -> None:
    x, weight, _, target = problem()
    x[3], target[3] = np.nan, -100
    made = linear_cross_entropy_and_grad(x, weight, target)
    want = linear_cross_entropy_and_grad(np.delete(x, 3, 0), weight, np.delete(target, 3))
    np.testing.assert_allclose(made.loss, want.loss, **CLOSE)
    np.testing.assert_allclose(made.weight, want.weight, **CLOSE)
    assert made.hidden is not None
    assert not made.hidden[3].any()


X, W, T = np.ones((4, 3)), np.ones((5, 3)), np.array([1, 0, 4, 3])
BAD: dict[str, tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = {
    "a label beyond the classes": (IndexError, r"target\[1\] is 5", (X, W, [1, 5, 0, 0]), {}),
    "a negative label": (IndexError, r"target\[0\] is -1", (X, W, [-1, 0, 0, 0]), {}),
    "a label too few": (ValueError, r"shape \(3,\); expected", (X, W, T[:3]), {}),
    "floats for labels": (ValueError, "class indices must be integers", (X, W, T * 1.0), {}),
    "features that differ": (ValueError, r"hidden has shape \(4, 3\); expected \(\.\.\., 2\)", (X, W[:, :2], T), {}),
    "a scalar": (ValueError, "hidden has shape", (1.0, W, 1), {}),
    "weights of one axis": (ValueError, "expected two axes", (X, W[0], T), {}),
    "weights of three axes": (ValueError, "expected two axes", (X, W[None], T), {}),
    "a bias of another length": (ValueError, r"bias has shape \(4,\)", (X, W, T), {"bias": np.ones(4)}),
    "class weights of another length": (ValueError, r"expected \(5,\)", (X, W, T), {"weight": np.ones(4)}),
    "complex numbers": (TypeError, "hidden has dtype complex128", (X * 1j, W, T), {}),
    "text": (TypeError, "linear_weight has dtype", (X, [["a"]], T), {}),
    "an unknown reduction": (ValueError, "reduction must be one of", (X, W, T), {"reduction": "average"}),
    "too much smoothing": (ValueError, "label_smoothing must be from 0 to 1", (X, W, T), {"label_smoothing": 2}),
    "ignored probabilities": (ValueError, "no row has a label", (X, W, np.ones((4, 5))), {"ignore_index": 0}),
    "temperature 0": (ValueError, "temperature must be positive", (X, W, T), {"temperature": 0}),
    "softcap 0": (ValueError, "softcap must be positive", (X, W, T), {"softcap": 0}),
    "negative z_loss": (ValueError, "z_loss must be finite and not negative", (X, W, T), {"z_loss": -1}),
    "no memory": (ValueError, "memory_budget must be a positive", (X, W, T), {"memory_budget": 0}),
    "half a byte": (TypeError, "memory_budget must be an integer", (X, W, T), {"memory_budget": 0.5}),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("function", [linear_cross_entropy, linear_cross_entropy_and_grad])
def test_bad_input(function: Any, case: str) -> None:
    kind, says, args, options = BAD[case]
    with pytest.raises(kind, match=says):
        function(*args, **options)


@pytest.mark.parametrize("grads", ["hidden", ("logits",), ("weight", "bia")], ids=str)
def test_gradients_that_there_are_not(grads: Any) -> None:
    with pytest.raises(ValueError, match="grads must be a collection of 'hidden', 'weight', 'bias'"):
        linear_cross_entropy_and_grad(X, W, T, grads=grads)
