"""Whoever else computes these functions, each set up as its own documentation says is best.

Every peer is a function from a cell to its contenders; it raises `MissingError` where it cannot take part. A peer that
can write to memory given to it takes part twice: a fresh result costs the first touch of its pages as well.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import numpy as np

import normexp
from normexp._onnx_model import model
from normexp.bench.cell import Array, Cell, Contender, MissingError
from normexp.verify.peers import from_tensor, shifted


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"not installed ({error})") from None


def import_torch(threads: int) -> Any:  # noqa: ANN401 - torch is optional, its types with it
    """Import PyTorch with this number of threads, or raise `MissingError`."""
    torch = _import("torch")
    torch.set_num_threads(threads)
    return torch


def torch_view(x: Array) -> Any:  # noqa: ANN401
    """View an array as a tensor on the same memory. NumPy's bfloat16 is unknown to PyTorch and goes as int16."""
    import torch

    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def _fresh(cell: Cell, name: str, call: Callable[[], Any], to_array: Callable[[Any], Array] = np.asarray) -> Contender:
    return Contender(name, "fresh", {"": call}, _moved(cell), lambda: to_array(call()))


def _into(cell: Cell, name: str, call: Callable[[], object], way: str = "") -> Contender:
    def result() -> Array:
        call()
        return cell.out

    return Contender(name, "out=", {way: call}, _moved(cell), result)


def _moved(cell: Cell) -> int:
    return cell.x.nbytes + cell.out.nbytes


def _normexp(cell: Cell) -> list[Contender]:
    function, x, out = getattr(normexp, cell.op), cell.x, cell.out
    return [
        _fresh(cell, "normexp", lambda: function(x)),
        _into(cell, "normexp", lambda: function(x, out=out)),
    ]


def _torch(cell: Cell) -> list[Contender]:
    torch = import_torch(cell.threads)
    function = getattr(torch, cell.op)
    x, out = torch_view(cell.x), torch_view(cell.out)
    return [
        _fresh(cell, "PyTorch", lambda: function(x, -1), lambda tensor: from_tensor(tensor, cell.x.dtype)),
        _into(cell, "PyTorch", lambda: function(x, -1, out=out)),
    ]


def _onnxruntime(cell: Cell) -> list[Contender]:
    onnxruntime: Any = _import("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cell.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a model it cannot run is an exception here, not also a line on the terminal
    try:
        session = onnxruntime.InferenceSession(
            model(cell.op, cell.x.dtype.name), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common base of their own
        raise MissingError(f"has no kernel for {cell.x.dtype} ({str(error).splitlines()[0]})") from None
    feed = {"x": cell.x}
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(cell.x))
    binding.bind_output("y", "cpu", 0, cell.out.dtype.type, cell.out.shape, cell.out.ctypes.data)
    return [
        _fresh(cell, "ONNX Runtime", lambda: session.run(None, feed)[0]),
        _into(cell, "ONNX Runtime", lambda: session.run_with_iobinding(binding), way="IO binding"),
    ]


def _scipy(cell: Cell) -> list[Contender]:
    function, x = getattr(_import("scipy.special"), cell.op), cell.x
    if x.dtype.name == "bfloat16":
        raise MissingError("does not know bfloat16")
    return [_fresh(cell, "SciPy", lambda: function(x, axis=-1))]


def _by_hand(cell: Cell) -> list[Contender]:
    return [_fresh(cell, "NumPy, by hand", lambda: shifted(cell.op, cell.x))]


PEERS: Final[Mapping[str, Callable[[Cell], list[Contender]]]] = {
    "normexp": _normexp,
    "PyTorch": _torch,
    "ONNX Runtime": _onnxruntime,
    "SciPy": _scipy,
    "NumPy, by hand": _by_hand,
}


def assemble(cell: Cell) -> tuple[list[Contender], dict[str, str]]:
    """Return the contenders that can compute a cell, and why the other peers cannot."""
    present: list[Contender] = []
    missing: dict[str, str] = {}
    for name, peer in PEERS.items():
        try:
            present += peer(cell)
        except MissingError as error:
            missing[name] = str(error)
    return present, missing
