"""Who computes: normexp and every peer that is installed, all with one signature.

An implementation takes a function's name, an array whose last axis holds the rows, and a temperature, and returns an
array of the same dtype. The peers get ``x / temperature`` computed in x's dtype, as their users write it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

import numpy as np

import normexp
from normexp.verify import losses
from normexp.verify.losses import LOSSES as LOSSES
from normexp.verify.losses import UnsupportedError as UnsupportedError
from normexp.verify.tensors import Array as Array
from normexp.verify.tensors import from_tensor, to_tensor

FUNCTIONS: Final = ("softmax", "log_softmax", "logsumexp", "softmin")


@dataclass(frozen=True)
class Implementation:
    """One way to compute the functions.

    Parameters
    ----------
    name : str
        What the tables call it.
    version : str
        Of the package behind it.
    compute : callable
        ``compute(function, x, temperature)``; raises `UnsupportedError` for what it does not offer.
    compute_loss : callable
        ``compute_loss(function, x, target, **options)``, as `normexp.verify.losses` has it.
    compiles : bool
        Whether each new shape costs it a good part of a second.
    """

    name: str
    version: str
    compute: Callable[[str, Array, float], Array]
    compute_loss: losses.Loss = losses.unsupported
    compiles: bool = False

    def __call__(self, function: str, x: Array, temperature: float = 1.0) -> Array:
        """Compute one of `FUNCTIONS` along the last axis; floating-point warnings are nobody's concern here."""
        with np.errstate(all="ignore"):
            return np.asarray(self.compute(function, x, temperature))

    def loss(self, function: str, x: Array, target: Any, **options: Any) -> Array:  # noqa: ANN401
        """Compute one of `LOSSES` of rows of logits against labels or probabilities."""
        with np.errstate(all="ignore"):
            return np.asarray(self.compute_loss(function, x, np.asarray(target), **options))


def ours() -> Implementation:
    """Return normexp."""

    def compute(function: str, x: Array, temperature: float) -> Array:
        if function == "logsumexp":
            return np.asarray(normexp.logsumexp(x))
        return np.asarray(getattr(normexp, function)(x, temperature=temperature))

    return Implementation("normexp", normexp.__version__, compute, losses.ours)


def installed(full: bool = False) -> tuple[list[Implementation], dict[str, str]]:
    """Return the peers that can be had, and for each of the others why not; `full`: those that compile, too."""
    found: list[Implementation] = []
    missing: dict[str, str] = {}
    for peer in (*_PEERS, *_COMPILERS) if full else _PEERS:
        name, package, make = peer
        try:
            module = importlib.import_module(package)
            compute, loss = make(module)
            found.append(Implementation(name, _version(package, module), _peer(compute), loss, peer in _COMPILERS))
        # A broken installation raises whatever it likes (a missing shared library is an OSError).
        except Exception as error:
            missing[name] = f"not installed ({error})" if isinstance(error, ImportError) else f"unusable ({error})"
    return found, missing


def by_name(implementations: Iterable[Implementation], name: str) -> Implementation | None:
    """Return the implementation of this name, or None."""
    return next((one for one in implementations if one.name == name), None)


def _version(package: str, module: ModuleType) -> str:
    try:
        distribution = package.partition(".")[0]
        return version("scikit-learn" if distribution == "sklearn" else distribution)
    except PackageNotFoundError:
        return str(getattr(module, "__version__", "unknown"))


# softmax, log_softmax and logsumexp of x, by their names; and the losses.
Compute: TypeAlias = Callable[[str, Array], Array]
Peer: TypeAlias = tuple[Compute, losses.Loss]


def _peer(compute: Compute) -> Callable[[str, Array, float], Array]:
    """Give a peer that knows neither temperature nor softmin what its users write instead."""

    def with_temperature(function: str, x: Array, temperature: float) -> Array:
        scaled = x if temperature == 1.0 else (x / x.dtype.type(temperature)).astype(x.dtype)
        return compute("softmax", -scaled) if function == "softmin" else compute(function, scaled)

    return with_temperature


def _torch(torch: ModuleType) -> Peer:
    def compute(function: str, x: Array) -> Array:
        return from_tensor(getattr(torch, function)(to_tensor(x), -1), x.dtype)

    return compute, losses.of_torch(torch)


def _scipy(special: ModuleType) -> Peer:
    def compute(function: str, x: Array) -> Array:
        if x.dtype.name == "bfloat16":
            raise UnsupportedError("SciPy does not know bfloat16")
        return np.asarray(getattr(special, function)(x, axis=-1))

    return compute, losses.composed(compute)


def shifted(function: str, x: Array) -> Array:
    """Compute the textbook's shifted form in the dtype of x, as people write it in NumPy."""
    m = x.max(axis=-1, keepdims=True)
    d = x - m
    exps = np.exp(d)
    sums = exps.sum(axis=-1, keepdims=True)
    if function == "softmax":
        return np.asarray(exps / sums)
    if function == "log_softmax":
        return np.asarray(d - np.log(sums))
    return np.asarray((m + np.log(sums))[..., 0])


def naive(x: Array) -> Array:
    """Compute ``exp(x) / sum(exp(x))`` in the dtype of x: no shift."""
    with np.errstate(all="ignore"):
        exps = np.exp(x)
        return np.asarray(exps / exps.sum(axis=-1, keepdims=True))


def _naive(function: str, x: Array) -> Array:
    """Compute without the shift."""
    if function == "softmax":
        return naive(x)
    return np.asarray(np.log(naive(x)) if function == "log_softmax" else np.log(np.exp(x).sum(axis=-1)))


def _sklearn(extmath: ModuleType) -> Peer:
    def compute(function: str, x: Array) -> Array:
        if function != "softmax" or x.dtype.name == "bfloat16":
            raise UnsupportedError("scikit-learn has a softmax, and for NumPy's own formats")
        # It takes nothing but matrices.
        return np.asarray(extmath.softmax(np.atleast_2d(x), copy=True)).reshape(x.shape)

    return compute, losses.unsupported


def _compiled(torch: ModuleType) -> Peer:
    # Formats and single rows are compiled apart; at the usual limit of 8 it would give up and run as it is.
    config = importlib.import_module("torch._dynamo").config
    config.recompile_limit = config.accumulated_recompile_limit = 1000

    compiled_loss = torch.compile(torch.nn.functional.cross_entropy, dynamic=True)

    @functools.cache
    def compiled(function: str) -> Callable[[Any], Any]:
        return cast(Callable[[Any], Any], torch.compile(lambda x: getattr(torch, function)(x, -1), dynamic=True))

    # Contiguous, since each layout would be compiled by itself.
    def compute(function: str, x: Array) -> Array:
        return from_tensor(compiled(function)(to_tensor(x).contiguous()), x.dtype)

    def cross_entropy(x: Any, target: Any, **options: Any) -> Any:  # noqa: ANN401
        return compiled_loss(x.contiguous(), target, **options)

    return compute, losses.of_torch(torch, cross_entropy)


def _jax(jax: ModuleType) -> Peer:
    names = {"softmax": jax.nn.softmax, "log_softmax": jax.nn.log_softmax, "logsumexp": jax.nn.logsumexp}
    compiled = {name: jax.jit(functools.partial(function, axis=-1)) for name, function in names.items()}

    def compute(function: str, x: Array) -> Array:
        with losses.jax_doubles(jax):
            return np.asarray(compiled[function](x))

    return compute, losses.of_jax(jax)


def _tensorflow(tf: ModuleType) -> Peer:
    names = {"softmax": tf.nn.softmax, "log_softmax": tf.nn.log_softmax, "logsumexp": tf.math.reduce_logsumexp}

    def compute(function: str, x: Array) -> Array:
        return np.asarray(names[function](tf.constant(x), axis=-1).numpy())

    return compute, losses.of_tensorflow(tf)


def _onnxruntime(runtime: ModuleType) -> Peer:
    models = importlib.import_module("normexp._onnx_model")  # needs one more package
    runtime.set_default_logger_severity(4)  # fatal errors only: an operator without a kernel is not news

    @functools.cache
    def session(function: str, dtype: str) -> Any:  # noqa: ANN401 - onnxruntime is optional, its types with it
        options = runtime.SessionOptions()
        if dtype == "bfloat16":
            raise UnsupportedError("ONNX Runtime takes no bfloat16 array from NumPy")
        options.intra_op_num_threads = 1  # whose idle threads spin otherwise, beside everyone else's
        try:
            model = models.model(function, dtype, reduction="none")
            return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base
            raise UnsupportedError(f"ONNX Runtime has no {function} for {dtype}") from error

    def compute(function: str, x: Array) -> Array:
        return np.asarray(session(function, x.dtype.name).run(None, {"x": x})[0])

    return compute, losses.of_onnxruntime(session)


_Peers: TypeAlias = tuple[tuple[str, str, Callable[[ModuleType], Peer]], ...]
_PEERS: Final[_Peers] = (
    ("PyTorch", "torch", _torch),
    ("SciPy", "scipy.special", _scipy),
    ("NumPy shifted", "numpy", lambda _: (shifted, losses.composed(shifted))),
    ("NumPy naive", "numpy", lambda _: (_naive, losses.composed(_naive))),
    ("ONNX Runtime", "onnxruntime", _onnxruntime),
    ("scikit-learn", "sklearn.utils.extmath", _sklearn),
)
# These compile for every shape: minutes.
_COMPILERS: Final[_Peers] = (
    ("torch.compile", "torch", _compiled),
    ("JAX", "jax", _jax),
    ("TensorFlow", "tensorflow", _tensorflow),
)
