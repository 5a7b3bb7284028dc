"""The modules: PyTorch's own samples of them, what they print, and how they are copied and stored."""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's collections of samples import it")
import torch
from torch import nn
from torch.testing import assert_close
from torch.testing._internal.common_modules import ModuleInfo, module_db
from torch_calls import assert_as_pytorch, outputs_and_gradients, widened

import normexp.torch as nxt

NAMES = ("Softmax", "LogSoftmax", "Softmin", "NLLLoss", "CrossEntropyLoss")
INFOS = [info for info in module_db if info.module_cls in {getattr(torch.nn, name) for name in NAMES}]
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

X = torch.linspace(-3, 3, 24).reshape(6, 4)
T = torch.tensor([0, 1, 2, 3, 0, 1])
MODULES = {
    "Softmax": ({"dim": 1}, (X,)),
    "LogSoftmax": ({"dim": 0}, (X,)),
    "Softmin": ({"dim": -1}, (X,)),
    "NLLLoss": ({"weight": torch.arange(1.0, 5), "ignore_index": 2, "reduction": "sum"}, (X.log_softmax(1), T)),
    "CrossEntropyLoss": ({"weight": torch.arange(1.0, 5), "label_smoothing": 0.1, "ignore_index": 3}, (X, T)),
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each module in turn."""
    return request.param


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_samples(info: ModuleInfo, dtype: torch.dtype) -> None:
    """Made and called as PyTorch's samples say: values and gradients within PyTorch's tolerances."""
    ours, count = getattr(nxt, info.module_cls.__name__), 0
    torch.manual_seed(0)
    for sample in info.module_inputs_func(info, "cpu", dtype, True, False):
        make, given = sample.constructor_input, sample.forward_input

        def call(module: type[torch.nn.Module], cast=lambda x: x, make=make, given=given) -> list[torch.Tensor]:
            made = module(*map(cast, make.args), **{name: cast(value) for name, value in make.kwargs.items()})
            return outputs_and_gradients(made, tuple(map(cast, given.args)))

        theirs = info.module_cls
        assert_as_pytorch(call(ours), call(theirs), call(theirs, widened), sample.desc)
        count += 1
    assert count > 0


def test_signatures_and_text(name: str) -> None:
    options, _ = MODULES[name]
    ours, theirs = getattr(nxt, name), getattr(torch.nn, name)
    parameters = [list(inspect.signature(one).parameters.values()) for one in (ours, theirs)]
    assert [(p.name, p.kind, p.default) for p in parameters[0]] == [(p.name, p.kind, p.default) for p in parameters[1]]
    assert repr(ours(**options)) == repr(theirs(**options))
    assert inspect.getdoc(ours)


def test_copies_compute_the_same(name: str) -> None:
    options, given = MODULES[name]
    module = getattr(nxt, name)(**options)
    want = module(*given)
    stored = io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    copies = copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(stored, weights_only=False)
    for one in copies:
        assert type(one) is type(module)
        assert torch.equal(one(*given), want)


def test_state(name: str) -> None:
    """What PyTorch's module has in its state_dict, ours has, and the one loads the other's."""
    options, given = MODULES[name]
    ours, theirs = getattr(nxt, name)(**options), getattr(torch.nn, name)(**options)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    if "weight" in options:
        weight = torch.tensor([4.0, 0.5, 0.25, 2.0])
        other = getattr(torch.nn, name)(**options | {"weight": weight})
        ours.load_state_dict(other.state_dict())
        assert torch.equal(ours.weight, weight)
        assert_close(ours(*given), other(*given))
        assert ours.double().weight.dtype == torch.float64


def test_inside_a_model(name: str) -> None:
    """In a Sequential, in training and in evaluation, and as a copy for another thread would be made."""
    options, (x, *target) = MODULES[name]
    body = torch.nn.Linear(4, 4)
    module = getattr(nxt, name)(**options)
    for model in (torch.nn.Sequential(body, torch.nn.LogSoftmax(1)), body):
        for mode in (True, False):
            out = module.train(mode)(model.train(mode)(x), *target)
            out.sum().backward()
            assert body.weight.grad is not None
            assert torch.isfinite(body.weight.grad).all()


@pytest.mark.filterwarnings("ignore:size_average and reduce args will be deprecated")
@pytest.mark.parametrize("loss", ["NLLLoss", "CrossEntropyLoss"])
@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
def test_deprecated_reductions(loss: str, size_average: bool | None, reduce: bool | None) -> None:
    """As PyTorch has them until they are gone: in the modules and in the functions."""
    ours, theirs = (getattr(one, loss)(None, size_average, -100, reduce) for one in (nxt, torch.nn))
    assert ours.reduction == theirs.reduction
    assert_close(ours(X, T), theirs(X, T))
    function = {"NLLLoss": "nll_loss", "CrossEntropyLoss": "cross_entropy"}[loss]
    call, other = getattr(nxt, function), getattr(torch.nn.functional, function)
    options = {"size_average": size_average, "reduce": reduce}
    assert_close(call(X, T, **options), other(X, T, **options))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated")
def test_scripted_modules_are_pytorchs() -> None:
    x, target = torch.randn(2, 3), torch.tensor([0, 2])
    for ours, theirs in ((nxt.Softmax, nn.Softmax), (nxt.LogSoftmax, nn.LogSoftmax), (nxt.Softmin, nn.Softmin)):
        assert torch.equal(torch.jit.script(nn.Sequential(ours(1)))(x), theirs(1)(x))
    for loss, plain in ((nxt.CrossEntropyLoss, nn.CrossEntropyLoss), (nxt.NLLLoss, nn.NLLLoss)):
        weight = torch.tensor([1.0, 2.0, 3.0])
        made = loss(weight, reduction="sum")
        assert torch.equal(torch.jit.script(made)(x, target), plain(weight, reduction="sum")(x, target))
        assert type(made) is loss
