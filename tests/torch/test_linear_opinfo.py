"""PyTorch's own samples of linear_cross_entropy, of all three variants: the values and gradients are PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's collections of samples import it")
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch_calls import DTYPES, HALF, assert_as_pytorch, widened

import normexp.torch as nxt

OPS = [op for op in op_db if op.name == "nn.functional.linear_cross_entropy"]
# How many PyTorch 2.13 has of each; half types have some more.
SAMPLES = {"": 119, "chunked": 133, "chunked_none": 77}

pytestmark = pytest.mark.skipif(not OPS, reason="PyTorch before 2.13 has no linear_cross_entropy")


def answer(function: Any, sample: SampleInput) -> list[torch.Tensor]:
    """The loss in the dtype of the input, which ours is not for half types, and all gradients."""
    # What PyTorch's chunks leave of half types is nobody's reference.
    options = {name: value for name, value in sample.kwargs.items() if function is OURS or name != "options"}
    value = function(sample.input, *sample.args, **options).to(sample.input.dtype)
    every = (sample.input, *sample.args, *options.values())
    wanted = [given for given in every if isinstance(given, torch.Tensor) and given.requires_grad]
    random = torch.Generator().manual_seed(1)
    direction = torch.randn(value.shape, generator=random).bfloat16().to(value.dtype)
    return [value, *torch.autograd.grad(value, wanted, direction)]


OURS = nxt.linear_cross_entropy


def exact_answer(sample: SampleInput) -> list[torch.Tensor]:
    wide = SampleInput(
        widened(sample.input),
        args=tuple(map(widened, sample.args)),
        kwargs={name: widened(value) for name, value in sample.kwargs.items()},
    )
    return answer(torch.nn.functional.linear_cross_entropy, wide)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.formatted_name)
def test_samples(op: OpInfo, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = list(op.sample_inputs("cpu", dtype, requires_grad=True))
    for sample in (*found, *(sample.noncontiguous() for sample in found)):
        got, want = answer(OURS, sample), answer(torch.nn.functional.linear_cross_entropy, sample)
        assert_as_pytorch(got, want, exact_answer(sample) if dtype in HALF else want, sample)
    assert len(found) >= SAMPLES[op.variant_test_name]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.formatted_name)
def test_errors(op: OpInfo) -> None:
    for error in op.error_inputs("cpu"):
        sample = error.sample_input
        with pytest.raises(error.error_type, match=error.error_regex):
            OURS(sample.input, *sample.args, **sample.kwargs)
