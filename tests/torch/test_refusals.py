"""Bad calls raise the exception that PyTorch raises, by function, by module, and through PyTorch's own names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's collections of samples import it")
import torch
import torch.nn.functional as F
from torch.testing._internal.common_modules import ModuleInfo, module_db
from torch_calls import PYTORCH

import normexp.torch as nxt

X = torch.linspace(-2, 3, 12).reshape(3, 4)
T = torch.tensor([0, 3, 2])
P = X.softmax(1)
IMAGE, PIXELS = torch.zeros(2, 4, 3, 3), torch.zeros(2, 3, 3, dtype=torch.int64)
LARGE, LABELS = torch.zeros(500, 40), torch.arange(500) % 40  # no call that `enable` leaves to PyTorch for its size


def _bad_maps() -> Iterator[tuple[str, str, tuple[Any, ...], dict[str, Any]]]:
    for name, x in itertools.product(("softmax", "log_softmax", "softmin", "logsumexp"), (X, LARGE)):
        yield "axis beyond the last", name, (x, 2), {}
        yield "axis before the first", name, (x, -3), {}
        for axis in (1.5, "1", True, torch.tensor(1), np.int64(1)):
            yield "axis of the wrong type", name, (x, axis), {}
        yield "axis of a scalar", name, (torch.tensor(1.0), 1), {}
        yield "no tensor", name, ([1.0, 2.0], 0), {}
        yield "unknown option", name, (x, 0), {"axis": 1}
        yield "unknown dtype", name, (x, 0), {"dtype": "float32"}
    for name in ("softmax", "log_softmax", "softmin"):
        yield "integers", name, (T, 0), {}
        yield "dtype of integers", name, (X, 0), {"dtype": torch.int64}
        yield "several axes", name, (X, (0, 1)), {}
    yield "the same axis twice", "logsumexp", (X, (0, 0)), {}
    yield "no axis", "logsumexp", (X,), {}
    yield "an empty axis of two", "logsumexp", (torch.zeros(2, 0), 2), {}


def _bad_losses() -> Iterator[tuple[str, str, tuple[Any, ...], dict[str, Any]]]:
    for name, (x, t) in itertools.product(("nll_loss", "cross_entropy"), ((X, T), (LARGE, LABELS))):
        for label in (x.shape[1], -1, -(2**63), 2**63 - 1):
            bad = t.clone()
            bad[-1] = label
            yield f"label {label}", name, (x, bad), {}
        yield "labels of another number of rows", name, (x, t[:-1]), {}
        yield "labels of too many axes", name, (x, t[:, None]), {}
        yield "one label for many rows", name, (x, t[0]), {}
        yield "weights of another number of classes", name, (x, t), {"weight": torch.ones(3)}
        yield "weights of two axes", name, (x, t), {"weight": torch.ones(1, x.shape[1])}
        yield "weights of another dtype", name, (x, t), {"weight": torch.ones(x.shape[1], dtype=torch.float64)}
        yield "unknown reduction", name, (x, t), {"reduction": "average"}
        yield "reduction of the wrong type", name, (x, t), {"reduction": 1}
        for ignore in (1.5, True, 2**70, "1"):
            yield "ignore_index of the wrong type", name, (x, t), {"ignore_index": ignore}
        yield "int32 labels", name, (x, t.int()), {}
        yield "int16 labels", name, (x, t.short()), {}
        yield "labels that are bool", name, (x, t.bool()), {}
        yield "uint8 labels", name, (x, t.to(torch.uint8)), {}
        yield "floating labels", name, (x, t.float()), {}
        yield "unknown option", name, (x, t), {"axis": 1}
        yield "no target", name, (x,), {}
        yield "no tensor for a target", name, (x, t.tolist()), {}
        yield "complex logits", name, (x.to(torch.complex64), t), {}
    for name in ("nll_loss", "cross_entropy"):
        yield "integer logits", name, (T, T[0]), {}
        yield "image and labels of other pixels", name, (IMAGE, PIXELS[:, :2]), {}
        yield "image and labels beyond the classes", name, (IMAGE, PIXELS + 4), {}
        yield "a scalar", name, (torch.tensor(1.0), torch.tensor(0)), {}
        yield "a label beyond the classes of the only row", name, (X[0], torch.tensor(4)), {}
        yield "no classes", name, (torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64)), {}
    for smoothing in (-0.1, 1.5, float("nan"), "much", 1, True):
        yield f"smoothing {smoothing}", "cross_entropy", (X, T), {"label_smoothing": smoothing}
        yield f"smoothing {smoothing}", "cross_entropy", (LARGE, LABELS), {"label_smoothing": smoothing}
    yield "probabilities of another shape", "cross_entropy", (X, P[:, :3]), {}
    yield "probabilities and an ignored class", "cross_entropy", (X, P), {"ignore_index": 1}
    yield "probabilities of another dtype", "cross_entropy", (X, P.double()), {}
    yield "probabilities, weights of other classes", "cross_entropy", (X, P), {"weight": torch.ones(3)}
    yield "probabilities for nll_loss", "nll_loss", (X, P), {}


BAD = [*_bad_maps(), *_bad_losses()]


def outcome(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The type of the exception, or the value: PyTorch takes a few of these calls."""
    try:
        return function(*args, **options)
    except Exception as error:
        return type(error)


def assert_same_outcome(got: Any, want: Any, what: str) -> None:
    """The same exception, or where PyTorch raises none, its value."""
    if isinstance(want, type) or isinstance(got, type):
        assert got == want, what
    else:
        torch.testing.assert_close(got, want, equal_nan=True, msg=lambda text: f"{what}: {text}")


@pytest.mark.parametrize("name", sorted({name for _, name, _, _ in BAD}))
@pytest.mark.parametrize("front", ["functions", "accelerated"])
def test_bad_calls(name: str, front: str) -> None:
    cases = [(what, args, options) for what, function, args, options in BAD if function == name]
    want = [outcome(getattr(PYTORCH, name), args, options) for _, args, options in cases]
    assert sum(isinstance(found, type) for found in want) > len(cases) / 2
    if front == "functions":
        got = [outcome(getattr(nxt, name), args, options) for _, args, options in cases]
    else:
        with nxt.accelerated():
            got = [outcome(getattr(PYTORCH, name), args, options) for _, args, options in cases]
    for (what, args, options), one, other in zip(cases, got, want, strict=True):
        shapes = [tuple(a.shape) if isinstance(a, torch.Tensor) else a for a in args]
        assert_same_outcome(one, other, f"{name}, {what}: {shapes}, {options}")


def test_nothing_is_written_where_a_label_is_bad() -> None:
    """A backward pass that is never to be: the logits have no gradient."""
    x = LARGE.clone().requires_grad_()
    bad = LABELS.clone()
    bad[250] = 40
    with pytest.raises(IndexError):
        nxt.cross_entropy(x, bad)
    assert x.grad is None


def test_a_bad_label_is_named() -> None:
    """Whose row, which label, how many classes: the reader need not search."""
    bad = LABELS.clone()
    bad[250] = 41
    with pytest.raises(IndexError, match="41"):
        nxt.cross_entropy(LARGE, bad)


MODULES = {torch.nn.NLLLoss: nxt.NLLLoss, torch.nn.CrossEntropyLoss: nxt.CrossEntropyLoss}


@pytest.mark.parametrize("info", [one for one in module_db if one.module_cls in MODULES], ids=lambda one: one.name)
def test_error_samples_of_modules(info: ModuleInfo) -> None:
    """PyTorch's own: a bad constructor, or a bad call."""
    count = 0
    for error in info.module_error_inputs_func(info, "cpu", torch.float32, False, False):
        given = error.module_error_input
        make, call = given.constructor_input, given.forward_input
        with pytest.raises(error.error_type, match=error.error_regex):
            MODULES[info.module_cls](*make.args, **make.kwargs)(*call.args, **call.kwargs)
        count += 1
    assert count > 0


@pytest.mark.parametrize("enabled", [False, True])
def test_labels_of_bytes_where_pytorch_takes_them(enabled: bool) -> None:
    """Of rows alone."""
    with nxt.accelerated() if enabled else nullcontext():
        function = F.cross_entropy if enabled else nxt.cross_entropy
        function(torch.zeros(2, 3), torch.tensor([0, 2], dtype=torch.uint8))
        with pytest.raises(RuntimeError):
            function(torch.zeros(1, 6, 5), torch.zeros(1, 5, dtype=torch.uint8))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.cross_entropy(torch.zeros(2, 3), None),
        lambda f: f.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), label_smoothing=None),
        lambda f: f.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), label_smoothing="a"),
        lambda f: f.nll_loss(torch.zeros(2, 3), None),
        lambda f: f.softmax(torch.zeros(2, 3), 2**63),
        lambda f: (torch if f is F else f).logsumexp(torch.zeros(2, 3), 1, keepdim=1),
        lambda f: (torch if f is F else f).logsumexp(torch.zeros([1] * 65), 0),
    ],
)
def test_arguments_of_the_wrong_kind_are_pytorchs_to_refuse(call: Callable[[Any], object]) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is
        call(F)
    with pytest.raises(theirs.type) as ours:
        call(nxt)
    assert "tensor_" not in str(ours.value)
