"""Every combination of targets, weights, ignored rows, smoothing, reductions and layouts beside PyTorch in float64."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support import DTYPES, assert_same_bits, assert_values

import normexp
from losses.problems import Problem, assert_near, assert_textbook, largest_of_row, row_shape, weights

torch = pytest.importorskip("torch", reason="the other side is PyTorch")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """These arrays are small; more threads would only spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# PyTorch computes log-probabilities to a few units of the largest logit's last place and the gradient as p - q: with
# logits below 10 in absolute value that is a few 1e-15 beside losses of about 1. 1e-12 leaves room for its sums.
AGREEMENT = 1e-12

# Shape and class axis: nothing but classes, the usual, channel-first, classes last and first, more than one register
# or tile, one class, and batches of nothing. PyTorch has the classes at axis 1.
LAYOUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "(C,)": ((5,), 0),
    "(N, C)": ((6, 5), -1),
    "(N, C, d1)": ((4, 5, 3), 1),
    "(N, C, d1, d2)": ((3, 5, 2, 2), 1),
    "(N, d1, C)": ((4, 3, 5), -1),
    "(C, N)": ((5, 6), 0),
    "(d1, d2, C, N)": ((2, 2, 5, 3), -2),
    "many rows": ((70, 10), 1),
    "many classes": ((3, 300), 1),
    "an image": ((2, 21, 7, 9), 1),
    "one class": ((6, 1), 1),
    "(0, C)": ((0, 5), 1),
    "(N, C, 0)": ((2, 5, 0), 1),
}
WEIGHTS = ("none", "given", "with zeros", "negative")
SMOOTHINGS = (0.0, 0.1, 1.0)
REDUCTIONS = ("none", "mean", "sum")
SHARES = (0.0, 0.4, 1.0)  # of the rows that are ignored


def ignore_indices(count: int) -> tuple[int, ...]:
    """The default, one of the classes, one beyond them, and a negative one that counts from no end."""
    return -100, min(1, count - 1), count + 3, -1


def logits_for(layout: str, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Logits of spread 2 and their class axis."""
    shape, axis = LAYOUTS[layout]
    return (np.random.default_rng([1, *shape]).standard_normal(shape) * 2).astype(dtype), axis


def options_for(count: int, dtype: np.dtype, weighting: str, smoothing: float, reduction: str) -> dict[str, Any]:
    """The options that indices and probabilities have in common."""
    weight = None if weighting == "none" else weights(count, dtype, weighting)
    return {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}


def index_problems(layout: str, dtype: np.dtype, smoothings: tuple[float, ...] = SMOOTHINGS) -> Iterator[Problem]:
    """All combinations for class indices."""
    logits, axis = logits_for(layout, dtype)
    count, rows = logits.shape[axis], row_shape(logits, axis)
    rng = np.random.default_rng([2, *logits.shape])
    for ignore, share in itertools.product(ignore_indices(count), SHARES):
        kept = np.array([c for c in range(count) if c != ignore] or [ignore])
        target = np.where(rng.random(rows) < share, ignore, rng.choice(kept, size=rows))
        for choice in itertools.product(WEIGHTS, smoothings, REDUCTIONS):
            options = options_for(count, dtype, *choice)
            yield Problem(logits, np.asarray(target), axis, options | {"ignore_index": ignore})


def probability_problems(layout: str, dtype: np.dtype) -> Iterator[Problem]:
    """All combinations for class probabilities; the last targets are none, which neither side minds."""
    logits, axis = logits_for(layout, dtype)
    count = logits.shape[axis]
    rng = np.random.default_rng([3, *logits.shape])
    shares = rng.exponential(size=logits.shape)
    onehot = np.moveaxis(np.eye(count)[rng.integers(count, size=row_shape(logits, axis))], -1, axis)
    for target in (shares / shares.sum(axis=axis, keepdims=True), onehot, rng.standard_normal(logits.shape)):
        for choice in itertools.product(WEIGHTS, SMOOTHINGS, REDUCTIONS):
            yield Problem(logits, target.astype(dtype), axis, options_for(count, dtype, *choice))


def tensor(array: np.ndarray, axis: int | None = None) -> Any:
    """A tensor of int64 or float64, with the classes where PyTorch has them."""
    wide = array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)
    moved = wide if axis is None or wide.ndim == 1 else np.moveaxis(wide, axis, 1)
    return torch.from_numpy(np.ascontiguousarray(moved).reshape(moved.shape))


def theirs(problem: Problem, function: str = "cross_entropy") -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's loss and gradient of the same numbers in float64."""
    logits = tensor(problem.logits, problem.axis).requires_grad_()
    target = tensor(problem.target, problem.axis if problem.target.ndim == problem.logits.ndim else None)
    weight = problem.options.get("weight")
    options = problem.options | {"weight": None if weight is None else tensor(weight)}
    loss = getattr(torch.nn.functional, function)(logits, target, **options)
    loss.sum().backward()
    grad = logits.grad.numpy()
    return loss.detach().numpy(), grad if grad.ndim == 1 else np.moveaxis(grad, 1, problem.axis)


def assert_agree(problem: Problem) -> None:
    """Loss and gradient agree to that share of the loss's terms and of the row's largest derivative.

    The terms of a loss with weights of one sign add up to it, so that this is its relative error; negative ones may
    cancel. A derivative p_i - q_i may cancel too, which PyTorch rounds to a unit of the larger of them. The textbook of
    the other tests is held to the same.
    """
    loss, grad = problem.loss_and_grad()
    want, want_grad = theirs(problem)
    answer = problem.textbook()
    what, scale = (problem.logits.shape, problem.options), AGREEMENT * largest_of_row(want_grad, problem.axis)
    assert_same_bits(problem.loss(), loss, what)
    assert_near(loss, want, AGREEMENT * answer.size, what)
    assert_near(grad, want_grad, scale, what)
    assert_near(want, answer.loss, AGREEMENT * answer.size, what)
    assert_near(want_grad, answer.grad, scale, what)
    assert not np.moveaxis(grad, problem.axis, -1)[problem.ignored].any(), what


def weighs_nothing(problem: Problem) -> bool:
    """A mean that divides by 0 though there are rows to count: their weights are 0, or cancel."""
    return problem.options["reduction"] == "mean" and problem.divisor == 0 and not problem.ignored.all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_class_indices(layout: str) -> None:
    for problem in index_problems(layout, DTYPES["float64"]):
        if not weighs_nothing(problem):
            assert_agree(problem)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_class_probabilities(layout: str) -> None:
    for problem in probability_problems(layout, DTYPES["float64"]):
        assert_agree(problem)


def test_weights_that_come_to_nothing() -> None:
    """PyTorch's infinity or NaN, and no derivative of a row that counts is a number."""
    tried = 0
    for layout in LAYOUTS:
        for problem in filter(weighs_nothing, index_problems(layout, DTYPES["float64"])):
            loss, grad = problem.loss_and_grad()
            assert_values(loss, theirs(problem)[0], (layout, problem.options))
            rows = np.moveaxis(grad, problem.axis, -1)
            assert not np.isfinite(rows[~problem.ignored]).any(), (layout, problem.options)
            assert not rows[problem.ignored].any(), (layout, problem.options)
            tried += 1
    assert tried > 10


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nll_loss(layout: str) -> None:
    for problem in index_problems(layout, DTYPES["float64"], smoothings=(0.0,)):
        del problem.options["label_smoothing"]
        got = normexp.nll_loss(problem.logits, problem.target, axis=problem.axis, **problem.options)
        want, _ = theirs(problem, "nll_loss")
        # Any numbers will do for log-probabilities: these have both signs, and their sum may cancel.
        size = np.abs(want) if problem.options["reduction"] == "none" else np.abs(problem.logits).max(initial=1)
        assert_near(got, want, AGREEMENT * size * max(problem.target.size, 1), problem.options)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_dtypes(layout: str, kind: str) -> None:
    """Beside the textbook, which agrees with PyTorch: two units of the last place of the narrow result."""
    dtype = DTYPES[kind]
    for problem in itertools.chain(index_problems(layout, dtype), probability_problems(layout, dtype)):
        if not weighs_nothing(problem):
            assert_textbook(problem)


@pytest.mark.parametrize("ignore", [0, 3, 2**62])
def test_probabilities_have_no_ignore_index(ignore: int) -> None:
    """As in PyTorch, where none but negative ones are let pass, and do nothing."""
    problem = next(probability_problems("(N, C)", DTYPES["float64"]))
    problem.options["ignore_index"] = ignore
    with pytest.raises(ValueError, match=f"ignore_index is {ignore}"):
        problem.loss()
    with pytest.raises(ValueError, match=f"ignore_index is {ignore}"):
        problem.loss_and_grad()
