"""Calls that the tests of the PyTorch front have in common: every function, with each of its options at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch.testing import assert_close

import normexp.torch as nxt

PYTORCH = SimpleNamespace(
    softmax=torch.nn.functional.softmax,
    log_softmax=torch.nn.functional.log_softmax,
    softmin=torch.nn.functional.softmin,
    logsumexp=torch.logsumexp,
    nll_loss=torch.nn.functional.nll_loss,
    cross_entropy=torch.nn.functional.cross_entropy,
)
"""PyTorch's functions under the names that `normexp.torch` has."""

# assert_close's own, which OpInfo's of these functions are too.
HALF = {torch.bfloat16: {"rtol": 1.6e-2, "atol": 1e-5}, torch.float16: {"rtol": 1e-3, "atol": 1e-5}}
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Call:
    """A function, the shapes of its tensors, and its options; either front can be asked."""

    function: str
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    target: str = ""
    """labels, probabilities, or nothing."""
    weighted: bool = False

    def tensors(self, dtype: torch.dtype = torch.float64, batch: tuple[int, ...] = (), seed: int = 0) -> Tensors:
        """The logits, the target and the weights, as many of them as the call takes, by the same seed always.

        `batch` goes before the shape of each, as `torch.vmap` has it.
        """
        random = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*batch, *shape, generator=random, dtype=torch.float64) * 2

        found = [normal(*self.shape)]
        if self.function == "nll_loss":
            found[0] = found[0].log_softmax(len(batch) + self.class_axis)
        if self.target == "labels":
            rows = self.shape[: self.class_axis] + self.shape[self.class_axis + 1 :]
            found.append(torch.randint(self.shape[self.class_axis], (*batch, *rows), generator=random))
        elif self.target:
            found.append(normal(*self.shape).softmax(len(batch) + self.class_axis))
        if self.weighted:
            found.append(torch.rand(*batch, self.shape[self.class_axis], generator=random, dtype=torch.float64) + 0.25)
        return tuple(t.to(dtype) if t.is_floating_point() else t for t in found)

    @property
    def class_axis(self) -> int:
        """Where losses have the classes."""
        return min(1, len(self.shape) - 1)

    def of(self, front: Any) -> Callable[..., torch.Tensor]:
        """The function of the tensors that this call is, by `normexp.torch` or by `PYTORCH`."""

        def call(*tensors: torch.Tensor) -> torch.Tensor:
            options = dict(self.options)
            if self.weighted:
                *tensors, options["weight"] = tensors
            return getattr(front, self.function)(*tensors, **options)

        return call

    @property
    def ours(self) -> Callable[..., torch.Tensor]:
        """The call, by normexp."""
        return self.of(nxt)

    @property
    def theirs(self) -> Callable[..., torch.Tensor]:
        """The call, by PyTorch."""
        return self.of(PYTORCH)


def differentiable(tensors: Tensors, wanted: tuple[int, ...] = (0, 1, 2)) -> Tensors:
    """Copies that are leaves; those of floating point, of the wanted ones, require gradients."""
    return tuple(
        t.detach().clone().requires_grad_(t.is_floating_point() and i in wanted) for i, t in enumerate(tensors)
    )


def assert_same(got: Iterable[torch.Tensor], want: Iterable[torch.Tensor], what: object = "") -> None:
    """The same bits; NaN equals NaN."""
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, rtol=0, atol=0, equal_nan=True, msg=lambda text: f"{what}: {text}")
        assert torch.equal(one.isnan() | one.signbit(), other.isnan() | other.signbit()), f"{what}: a sign of 0"


def widened(tensor: Any) -> Any:
    """The same numbers in float64, with a gradient of their own."""
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        return tensor
    return tensor.detach().double().requires_grad_(tensor.requires_grad)


def assert_as_pytorch(got: Iterable[Any], want: Iterable[Any], exact: Iterable[Any], what: object) -> None:
    """Within the tolerances that PyTorch has for the dtype, of PyTorch's result.

    The half types round each step so coarsely that PyTorch's own results miss those tolerances of the exact ones,
    where terms cancel. There the result may be within them of `exact`, which is PyTorch's in float64, or at least no
    further away from it than PyTorch's, the rule by which PyTorch judges its own references; or than one rounding of
    the largest value, since what a half type has saved for the backward pass is rounded already.
    """
    for one, other, true in zip(got, want, exact, strict=True):
        try:
            assert_close(one, other, equal_nan=True, msg=lambda text: f"{what}: {text}")
        except AssertionError:
            if one.dtype not in HALF or (one.dtype, one.shape) != (other.dtype, other.shape):
                raise
            mine, theirs, wide = (t.detach().double() for t in (one, other, true))
            near = torch.allclose(mine, wide, **HALF[one.dtype])
            errors, others = (mine - wide).abs(), (theirs - wide).abs()
            rounding = torch.finfo(one.dtype).eps / 2 * wide.abs().max()
            if not (near or errors.sum() <= others.sum() or errors.max() <= max(others.max(), rounding)):
                raise


def of_floats(call: Call) -> tuple[int, ...]:
    """Which of the tensors have derivatives: logits and probabilities. PyTorch has none by the weights of labels."""
    return (0, 1, 2) if call.target != "labels" else (0,)


def outputs_and_gradients(function: Callable[..., torch.Tensor], tensors: Tensors, seed: int = 1) -> list[torch.Tensor]:
    """The value, and the derivative of its product with some other tensor by each tensor that requires gradients."""
    value = function(*tensors)
    wanted = [t for t in tensors if t.requires_grad]
    random = torch.Generator().manual_seed(seed)
    direction = torch.randn(value.shape, generator=random, dtype=torch.float64).bfloat16()  # the same in every dtype
    return [value.detach(), *torch.autograd.grad(value, wanted, direction.to(value.dtype))]


def _maps() -> Iterator[tuple[str, Call]]:
    for name in ("softmax", "log_softmax", "softmin"):
        yield f"{name}, last axis", Call(name, (3, 5), {"dim": -1})
        yield f"{name}, first axis", Call(name, (4, 3), {"dim": 0})
        yield f"{name}, middle axis", Call(name, (2, 4, 3), {"dim": 1})
        yield f"{name}, one row", Call(name, (6,), {"dim": 0})
        yield f"{name}, another dtype", Call(name, (3, 4), {"dim": 1, "dtype": torch.float64})


def _logsumexps() -> Iterator[tuple[str, Call]]:
    yield "logsumexp, last axis", Call("logsumexp", (3, 5), {"dim": -1})
    yield "logsumexp, kept axis", Call("logsumexp", (3, 5), {"dim": 0, "keepdim": True})
    yield "logsumexp, two axes", Call("logsumexp", (2, 4, 3), {"dim": (0, 2)})
    yield "logsumexp, all axes", Call("logsumexp", (2, 3), {"dim": (0, 1), "keepdim": True})


def _losses() -> Iterator[tuple[str, Call]]:
    shapes = {"(C,)": (5,), "(N, C)": (4, 5), "(N, C, d)": (2, 3, 4), "(N, C, d, d)": (2, 3, 2, 2)}
    for reduction in ("none", "mean", "sum"):
        for layout, shape in shapes.items():
            options = {"reduction": reduction}
            yield f"nll_loss, {layout}, {reduction}", Call("nll_loss", shape, options, "labels")
            yield f"cross_entropy, {layout}, {reduction}", Call("cross_entropy", shape, options, "labels")
        options = {"reduction": reduction, "ignore_index": 1}
        for function in ("nll_loss", "cross_entropy"):
            yield f"{function}, weights, ignored, {reduction}", Call(function, (6, 4), options, "labels", True)
        smooth = {"reduction": reduction, "label_smoothing": 0.2}
        yield f"cross_entropy, smoothed, {reduction}", Call("cross_entropy", (4, 3), smooth, "labels")
        everything = smooth | {"ignore_index": 2}
        yield f"cross_entropy, everything, {reduction}", Call("cross_entropy", (4, 3, 2), everything, "labels", True)
        for weighted in (False, True):
            name = f"cross_entropy, probabilities{', weights' * weighted}, {reduction}"
            yield name, Call("cross_entropy", (4, 3), {"reduction": reduction}, "probabilities", weighted)
        yield (
            f"cross_entropy, smoothed probabilities, {reduction}",
            Call("cross_entropy", (3, 3, 2), smooth, "probabilities", True),
        )


CALLS: dict[str, Call] = dict([*_maps(), *_logsumexps(), *_losses()])

# Of sizes at which other kernels run than for a few rows.
LARGE: dict[str, Call] = {
    "large softmax": Call("softmax", (90, 70), {"dim": 1}),
    "large log_softmax": Call("log_softmax", (70, 90), {"dim": 0}),
    "large softmin": Call("softmin", (30, 7, 40), {"dim": 1}),
    "large logsumexp": Call("logsumexp", (90, 70), {"dim": 1}),
    "large nll_loss": Call("nll_loss", (200, 40), {}, "labels", True),
    "large cross_entropy": Call("cross_entropy", (200, 40), {}, "labels"),
    "large image": Call("cross_entropy", (20, 30, 5, 4), {"reduction": "none", "label_smoothing": 0.1}, "labels", True),
    "large probabilities": Call("cross_entropy", (200, 40), {"reduction": "sum"}, "probabilities", True),
}
