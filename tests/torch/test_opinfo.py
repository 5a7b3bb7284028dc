"""PyTorch's own samples of its softmax family (OpInfo): the values and the gradients are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's collections of samples import it")
import torch
from torch.testing import assert_close, make_tensor
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch_calls import DTYPES, HALF, assert_as_pytorch, widened

import normexp.torch as nxt

OURS = {
    "softmax": nxt.softmax,
    "log_softmax": nxt.log_softmax,
    "logsumexp": nxt.logsumexp,
    "nn.functional.softmin": nxt.softmin,
    "nn.functional.nll_loss": nxt.nll_loss,
    "nn.functional.cross_entropy": nxt.cross_entropy,
}
OPS = [op for op in op_db if op.name in OURS]
Function = Callable[..., torch.Tensor]

# An OpInfo's samples are so small that `enable` may leave them to PyTorch; tests/torch/test_enable.py has larger ones.
FRONTS = ("functions", "accelerated")


@pytest.fixture(params=OPS, ids=lambda op: op.formatted_name)
def op(request: pytest.FixtureRequest) -> OpInfo:
    """Each of PyTorch's descriptions of these functions in turn."""
    return request.param


def samples(op: OpInfo, dtype: torch.dtype) -> list[SampleInput]:
    """Its samples, and those for comparisons with a reference; contiguous and not."""
    torch.manual_seed(0)
    differentiable = dtype in op.supported_backward_dtypes("cpu")
    found = list(op.reference_inputs("cpu", dtype, requires_grad=differentiable and dtype.is_floating_point))
    return [*found, *(sample.noncontiguous() for sample in found)]


def answer(function: Function, sample: SampleInput) -> Any:
    """The value and the gradients, or the type of the error."""
    try:
        value = function(sample.input, *sample.args, **sample.kwargs)
    except Exception as error:
        return type(error)
    every = (sample.input, *sample.args, *sample.kwargs.values())
    wanted = [given for given in every if isinstance(given, torch.Tensor) and given.requires_grad]
    if not (wanted and value.requires_grad):
        return [value]
    torch.manual_seed(1)
    direction = make_tensor(value.shape, dtype=torch.bfloat16, device="cpu")  # the same numbers in every dtype
    return [value, *torch.autograd.grad(value, wanted, direction.to(value.dtype))]


def answers(functions: Iterable[Function], found: list[SampleInput]) -> list[Any]:
    """Of every function for every sample."""
    return [answer(function, sample) for function in functions for sample in found]


def exact_answer(function: Function, sample: SampleInput) -> Any:
    """That of the same numbers in float64."""
    wide = SampleInput(
        widened(sample.input),
        args=tuple(map(widened, sample.args)),
        kwargs={name: widened(value) for name, value in sample.kwargs.items()},
    )
    return answer(function, wide)


def assert_alike(got: Any, want: Any, function: Function, sample: SampleInput) -> None:
    """The same error, or within the tolerances of OpInfo: assert_close's own, since these functions override none."""
    if isinstance(got, type) or isinstance(want, type):
        assert got == want, sample.summary()
        return
    assert_as_pytorch(got, want, exact_answer(function, sample) if sample.input.dtype in HALF else want, sample)
    for one, other in zip(got, want, strict=True):
        assert one.requires_grad == other.requires_grad, sample.summary()


def check(op: OpInfo, dtype: torch.dtype, front: str) -> int:
    """Hold a front against PyTorch, and say how many samples there were."""
    found, names = samples(op, dtype), list(every_name(op))
    if front == "functions":
        want, got = answers([op.op], found), answers([OURS[op.name]], found)
    else:
        want = answers(names, found)
        with nxt.accelerated():
            got = answers(names, found)
    for i, (one, other) in enumerate(zip(got, want, strict=True)):
        assert_alike(one, other, op.op, found[i % len(found)])
    return len(found)


def every_name(op: OpInfo) -> Iterator[Function]:
    """The function, the method, and the aliases in torch.special and torch.nn.functional."""
    yield op.op
    if op.method_variant is not None:
        yield op.method_variant
    yield from (alias.op for alias in op.aliases)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("front", FRONTS)
def test_samples(op: OpInfo, dtype: torch.dtype, front: str) -> None:
    assert check(op, dtype, front) >= 14


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental", "ignore:Casting complex values to real")
@pytest.mark.parametrize("front", FRONTS)
def test_other_dtypes(op: OpInfo, front: str) -> None:
    """Integers, bool and complex numbers, as far as PyTorch takes them, and where it does not, its exception."""
    for dtype in sorted({*op.dtypes, torch.int64, torch.bool, torch.complex64} - {*DTYPES}, key=str):
        check(op, dtype, front)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", [op for op in OPS if op.supports_out], ids=lambda op: op.formatted_name)
def test_results_written_into_a_tensor(op: OpInfo, dtype: torch.dtype) -> None:
    """``out=`` of PyTorch's functions, contiguous and not."""
    for sample in samples(op, dtype):
        x = sample.input.detach()
        want = op.op(x, *sample.args, **sample.kwargs)
        with nxt.accelerated():
            for out in (torch.empty_like(want), torch.empty(*want.shape, 2, dtype=want.dtype)[..., 0]):
                assert op.op(x, *sample.args, **sample.kwargs, out=out) is out
                assert_close(out, want, equal_nan=True, check_stride=False)


def test_error_samples(op: OpInfo) -> None:
    """PyTorch 2.13 has none for these functions; those of its modules and more are in test_refusals.py."""
    for error in op.error_inputs("cpu") if op.error_inputs_func else ():
        sample = error.sample_input
        with pytest.raises(error.error_type):
            OURS[op.name](sample.input, *sample.args, **sample.kwargs)
