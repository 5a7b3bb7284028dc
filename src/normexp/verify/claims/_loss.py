"""Claims D1 and D2: the loss after the softmax."""

from __future__ import annotations

import importlib
from typing import Any, Final

import numpy as np
from flint import arb, ctx

from normexp.verify import oracle
from normexp.verify.claims._training import gradient, train
from normexp.verify.claims._trial import Trial
from normexp.verify.claims._values import NARROW
from normexp.verify.measure import max_ulp
from normexp.verify.tensors import to_tensor
from normexp.verify.words import exact, number, numbers

_CLASSES: Final = 10


def softmax_twice(t: Trial) -> str:
    """Try D1: the gradient of a row that is confidently wrong, the loss of a perfect one, and two training runs."""
    row, target = np.array([20.0, 0.0]), 1
    for twice in (False, True):
        layers = "softmax, then loss" if twice else "loss alone"
        theirs = numbers(_torch_gradient(row, target, twice)) if t.torch else None
        t.show(
            f"gradient at {numbers(row)}, label {target}: {layers}",
            numbers(_gradient(t, row, target, twice)),
            theirs,
            numbers(_exact_gradient(row, target, twice)),
        )
    shrinks = abs(_exact_gradient(row, target, True)[0]) / abs(_exact_gradient(row, target, False)[0])
    t.require(
        abs(_gradient(t, row, target, True)[0] / float(_exact_gradient(row, target, True)[0]) - 1) < 1e-6,
        "normexp's gradient through two softmaxes is right to 6 digits",
    )
    # A perfect row's softmax is one-hot; softmaxed again, the label's share is e / (e + n - 1).
    one_hot, first = np.eye(_CLASSES)[:1], [0]
    floor = oracle.cross_entropy(one_hot[0], 0)
    t.show(
        f"lowest loss that {_CLASSES} classes can reach after a softmax layer",
        number(t.ours.loss("cross_entropy", one_hot, first)[0]),
        number(t.torch.loss("cross_entropy", one_hot, first)[0]) if t.torch else None,
        exact(floor),
    )
    runs = [train(t.ours, twice, with_torch=False) for twice in (False, True)]
    theirs_runs = [train(t.ours, twice, with_torch=True) for twice in (False, True)] if t.torch else [None, None]
    for layers, run, other in zip(("loss alone", "softmax layer"), runs, theirs_runs, strict=True):
        t.show(f"training on digits, {layers}", str(run), None if other is None else str(other), "")
    without, with_softmax = runs
    t.require(with_softmax.accuracy < without.accuracy, "the run with the softmax layer ends less accurate")
    t.require(with_softmax.loss > float(floor), "no run with a softmax layer gets below the lowest loss")
    t.refute(
        f"a network that does end in a softmax raises no error and still learns: {with_softmax.accuracy:.1%} right "
        f"(by chance: {1 / _CLASSES:.0%}), where {without.accuracy:.1%} are right without it",
        with_softmax.accuracy > 2 / _CLASSES,
    )
    return (
        f"it may, but trains worse: the gradient of a confidently wrong row shrinks to {exact(shrinks, 2)} of itself, "
        f"and the loss of {_CLASSES} classes cannot fall below {exact(floor)}"
    )


def _gradient(t: Trial, row: Any, target: int, twice: bool) -> Any:  # noqa: ANN401
    return gradient(t.ours, row[None], np.array([target]), twice)[0]


def _exact_gradient(row: Any, target: int, twice: bool) -> list[arb]:  # noqa: ANN401
    if not twice:
        return oracle.cross_entropy_grad(row, target)
    with ctx.workprec(128):
        p = oracle.softmax(row)
        exps = [v.exp() for v in p]
        total = sum(exps, arb(0))
        outer = [e / total - (i == target) for i, e in enumerate(exps)]
        mean = sum((v * g for v, g in zip(p, outer, strict=True)), arb(0))
        return [v * (g - mean) for v, g in zip(p, outer, strict=True)]


def _torch_gradient(row: Any, target: int, twice: bool) -> Any:  # noqa: ANN401
    torch = importlib.import_module("torch")
    logits = to_tensor(row).requires_grad_()
    output = torch.softmax(logits, 0) if twice else logits
    torch.nn.functional.cross_entropy(output[None], torch.tensor([target])).backward()
    return logits.grad.numpy()


def cross_entropy_is_nll(t: Trial) -> str:
    """Try D2: the article's figure, then both ways on many rows, bit for bit."""
    given = 2.1668357849121094
    row = NARROW.astype(np.float32)
    loss = oracle.cross_entropy(row, 0)
    ours = t.ours.loss("cross_entropy", row[None], [0])
    t.require_accurate(ours, [loss], "the loss of the article's row")
    both = _both_ways(row[None], [0]) if t.torch else None
    t.show(
        f"loss of {numbers(row)} at 0, float32",
        repr(float(ours[0])),
        None if both is None else " and ".join(sorted({repr(float(v[0])) for v in both})),
        exact(loss, 12),
    )
    off = max_ulp(np.array([given], dtype=np.float32), [loss])
    t.refute(f"the article prints {given}, which is {number(off)} ULP off the exact {exact(loss, 12)}", not off <= 1)
    t.notes.append(f"the article's {given}: checked, {number(off, 2)} ULP off the exact value")
    confident = np.array([[20, 0]], dtype=np.float32)
    t.show(
        "loss of [20, 0] at 0, float32",
        number(t.ours.loss("cross_entropy", confident, [0])[0]),
        " and ".join(sorted({number(float(v[0])) for v in _both_ways(confident, [0])})) if t.torch else None,
        exact(oracle.cross_entropy(confident[0], 0)),
    )
    x = (t.rng.normal(size=(100, 10)) * 30).astype(np.float32)
    labels = t.rng.integers(10, size=100)
    losses = [oracle.cross_entropy(row, label) for row, label in zip(x, labels.tolist(), strict=True)]
    t.require_accurate(t.ours.loss("cross_entropy", x, labels), losses, "normexp's cross_entropy of 100 rows")
    t.require_accurate(-t.ours("log_softmax", x)[np.arange(100), labels], losses, "normexp's log_softmax at the labels")
    if both is None:
        t.unchecked = "PyTorch is missing"
        return ""
    t.refute(f"PyTorch's loss is {float(both[0][0])!r}, not {given!r}", float(both[0][0]) != given)
    apart = 0.0
    for spread in (1.0, 30.0):
        x = (t.rng.normal(size=(500, 10)) * spread).astype(np.float32)
        left, right = _both_ways(x, t.rng.integers(10, size=500))
        apart = max(apart, max_ulp(left, [arb(float(v)) for v in right]))
    if apart:
        t.bound = f"{number(apart, 2)} ULP"
    same = "bit for bit" if apart == 0 else f"within {t.bound}"
    return f"both ways agree {same} on 1,000 rows; near 0 they are wrong together (see C1)"


def _both_ways(x: Any, target: Any) -> tuple[Any, Any]:  # noqa: ANN401
    torch = importlib.import_module("torch")
    logits, labels = to_tensor(x), torch.tensor(np.asarray(target))
    log_probabilities = torch.nn.LogSoftmax(dim=1)(logits)
    return (
        torch.nn.CrossEntropyLoss(reduction="none")(logits, labels).numpy(),
        torch.nn.NLLLoss(reduction="none")(log_probabilities, labels).numpy(),
    )
