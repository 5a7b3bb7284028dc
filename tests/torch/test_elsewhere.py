"""What the engine does not take goes to PyTorch's own operator: other devices, layouts, subclasses, modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch_calls import CALLS, PYTORCH, Call, differentiable, of_floats, outputs_and_gradients

import normexp.torch as nxt

MAPS = ("softmax", "log_softmax", "softmin")
X = torch.linspace(-3, 5, 12 * 40).reshape(12, 40)


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return CALLS[request.param]


def both(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """The results of either front."""
    return getattr(nxt, name)(*args, **options), getattr(PYTORCH, name)(*args, **options)


def test_meta_tensors(call: Call) -> None:
    """Shapes, strides and dtypes without numbers, forwards and backwards."""
    tensors = tuple(t.to("meta") for t in call.tensors(torch.float32))
    for got, want in zip(*(metadata(function, tensors, call) for function in (call.ours, call.theirs)), strict=True):
        assert got == want


def metadata(function: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...], call: Call) -> list[Any]:
    leaves = tuple(
        t.detach().requires_grad_(t.is_floating_point() and i in of_floats(call)) for i, t in enumerate(tensors)
    )
    value = function(*leaves)
    slopes = torch.autograd.grad(value.sum(), [t for t in leaves if t.requires_grad])
    return [(t.shape, t.stride(), t.dtype, t.device) for t in (value, *slopes)]


def test_fake_tensors(call: Call) -> None:
    """The CPU's tensors without numbers, as the compiler has them."""
    with FakeTensorMode() as mode:
        tensors = tuple(mode.from_tensor(t) for t in call.tensors(torch.float32))
        for got, want in zip(
            *(metadata(function, tensors, call) for function in (call.ours, call.theirs)), strict=True
        ):
            assert got == want


def test_tracing(call: Call) -> None:
    """make_fx, symbolic shapes included: a graph that computes the same."""
    tensors = call.tensors(torch.float32)
    for mode in ("real", "fake", "symbolic"):
        graph = make_fx(call.ours, tracing_mode=mode)(*tensors)
        assert_close(graph(*tensors), call.ours(*tensors), rtol=0, atol=0)


@pytest.mark.parametrize("name", [*MAPS, "logsumexp"])
def test_complex_numbers(name: str) -> None:
    z = torch.randn(6, 40, dtype=torch.complex64)
    outcomes = []
    for front in (nxt, PYTORCH):
        try:
            outcomes.append(getattr(front, name)(z, dim=1))
        except RuntimeError as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1] if isinstance(outcomes[1], type) else torch.equal(*outcomes)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_sparse_tensors(name: str) -> None:
    """torch.sparse's functions are others; torch.nn.functional's take none, nor do ours."""
    for make in (torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr):
        x = make(torch.eye(4))
        with pytest.raises((RuntimeError, NotImplementedError)) as want:
            getattr(PYTORCH, name)(x, dim=1)
        with pytest.raises(want.type):
            getattr(nxt, name)(x, dim=1)


def test_tensors_of_another_layout() -> None:
    """oneDNN's own, which have no strides."""
    if torch.backends.mkldnn.is_available():
        got, want = both("softmax", X.to_mkldnn(), dim=1)
        assert got.layout == want.layout
        assert_close(got.to_dense(), want.to_dense())


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors() -> None:
    rows = [torch.randn(3, 5), torch.randn(2, 5)]
    for layout in (torch.strided, torch.jagged):
        got, want = both("softmax", torch.nested.nested_tensor(rows, layout=layout), dim=-1)
        for one, other in zip(got.unbind(), want.unbind(), strict=True):
            assert_close(one, other)


@pytest.mark.parametrize("name", MAPS)
def test_negative_bit(name: str) -> None:
    """A view whose memory holds minus its numbers: the imaginary part of a conjugate."""
    z = torch.randn(90, 40, dtype=torch.complex64)
    x = z.conj().imag
    assert x.is_neg()
    assert_close(getattr(nxt, name)(x, dim=1), getattr(PYTORCH, name)(x.clone(), dim=1))
    target = torch.arange(90) % 40
    assert_close(nxt.cross_entropy(x, target), PYTORCH.cross_entropy(x.clone(), target))
    assert_close(nxt.logsumexp(x, 1), torch.logsumexp(x.clone(), 1))
    probabilities = z.abs().softmax(1)
    assert_close(nxt.cross_entropy(x, probabilities), PYTORCH.cross_entropy(x.clone(), probabilities))
    with nxt.accelerated():
        assert_close(getattr(PYTORCH, name)(x, dim=1), getattr(PYTORCH, name)(x.clone(), dim=1))
        assert_close(PYTORCH.cross_entropy(x, target), PYTORCH.cross_entropy(x.clone(), target))


def test_zero_tensors() -> None:
    """Tensors of zeros that have no memory, as forward mode makes them."""
    x = torch._efficientzerotensor((90, 40))
    assert_close(*both("softmax", x, dim=1))
    assert_close(*both("cross_entropy", x, torch.zeros(90, dtype=torch.int64)))


class Tagged(torch.Tensor):
    """A subclass, as people write them: it is kept, and what is done to it is noted."""

    seen: list[str]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, Tagged):
            result.seen = [func.__name__]
        return result


class Wrapped(torch.Tensor):
    """A tensor that holds another one and has no memory of its own."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Wrapped:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        result = func(*(a.inner if isinstance(a, Wrapped) else a for a in args), **(kwargs or {}))
        return Wrapped(result) if isinstance(result, torch.Tensor) else result


@pytest.mark.parametrize("name", [*MAPS, "logsumexp"])
def test_subclasses(name: str) -> None:
    got, want = both(name, X.as_subclass(Tagged), dim=1)
    assert type(got) is type(want) is Tagged
    assert got.seen
    assert_close(got.as_subclass(torch.Tensor), want.as_subclass(torch.Tensor))
    got, want = both(name, Wrapped(X), dim=1)
    assert type(got) is type(want) is Wrapped
    assert_close(got.inner, want.inner)


def test_subclasses_as_targets_and_weights() -> None:
    target, weight = torch.arange(12), torch.linspace(1, 2, 40)
    for t, w in ((target.as_subclass(Tagged), weight), (target, weight.as_subclass(Tagged))):
        got, want = both("cross_entropy", X, t, weight=w)
        assert type(got) is type(want) is Tagged
        assert_close(got.as_subclass(torch.Tensor), want.as_subclass(torch.Tensor))


def test_parameters_and_buffers() -> None:
    """Which are no subclasses to anyone."""
    got = nxt.softmax(torch.nn.Parameter(X.clone()), dim=1)
    assert type(got) is torch.Tensor
    assert got.requires_grad
    assert_close(got, PYTORCH.softmax(X, dim=1).requires_grad_())


def test_function_modes(call: Call) -> None:
    """Whoever watches the calls of torch's functions sees ours, or what they are made of."""

    class Watch(TorchFunctionMode):
        seen: list[Any]

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    tensors = call.tensors(torch.float32)
    watch = Watch()
    watch.seen = []
    with watch:
        got = call.ours(*tensors)
    assert watch.seen
    assert_close(got, call.ours(*tensors), rtol=0, atol=0)


def test_dispatch_modes(call: Call) -> None:
    """Whoever watches the operators sees at least one, forwards and backwards."""

    class Watch(TorchDispatchMode):
        seen: list[Any]

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    watch = Watch()
    watch.seen = []
    with watch:
        value = call.ours(*tensors)
        forwards = len(watch.seen)
        value.sum().backward()
    assert 0 < forwards < len(watch.seen)
    assert_close(value, call.ours(*tensors))


def test_a_deterministic_default_device_and_dtype() -> None:
    """Settings that reach into every call."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.device("cpu"):
            assert nxt.softmax(X, dim=1).dtype == torch.float32
            assert_close(*both("cross_entropy", X, torch.arange(12)))
    finally:
        torch.set_default_dtype(before)
        torch.use_deterministic_algorithms(False)


def test_outputs_are_new(call: Call) -> None:
    """Nobody's memory but their own, and gradients like their tensors."""
    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    found = outputs_and_gradients(call.ours, tensors)
    places = [t.data_ptr() for t in (*tensors, *found) if t.numel()]
    assert len(set(places)) == len(places)
