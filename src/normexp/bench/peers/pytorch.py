"""PyTorch, as it is called (eager) and compiled by TorchInductor (``torch.compile``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from normexp.bench.cell import AXIS, Array, Cell, Contender
from normexp.bench.peers.contenders import fresh, imported, into
from normexp.verify.tensors import from_tensor


def import_torch(threads: int) -> Any:  # noqa: ANN401 - torch is optional, its types with it
    """Import PyTorch with this number of threads, or raise `MissingError`."""
    torch = imported("torch")
    torch.set_num_threads(threads)
    return torch


def torch_view(x: Array) -> Any:  # noqa: ANN401
    """View an array as a tensor on the same memory. NumPy's bfloat16 is unknown to PyTorch and goes as int16."""
    import torch

    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def eager(cell: Cell) -> list[Contender]:
    """Return PyTorch as most people run it; its losses have no ``out=``."""
    torch = import_torch(cell.threads)
    function = function_of(cell, torch)
    contenders = [fresh(cell, "PyTorch", tensor_call(cell, function), to_array(cell))]
    if cell.target is None:
        x, out = torch_view(cell.x), torch_view(cell.out)
        contenders.append(into(cell, "PyTorch", lambda: function(x, AXIS, out=out)))
    return contenders


def compiled(cell: Cell) -> list[Contender]:
    """Return PyTorch's compiler for these very shapes; it needs a C++ compiler, and says so if there is none."""
    torch = import_torch(cell.threads)
    torch.compiler.reset()  # or it would count the cells before as too many shapes of one function, and give up
    call = tensor_call(cell, torch.compile(function_of(cell, torch), dynamic=False))
    return [fresh(cell, "torch.compile", call, to_array(cell))]


def function_of(cell: Cell, torch: Any) -> Any:  # noqa: ANN401
    """Return PyTorch's function for a cell, the one with the least overhead."""
    return getattr(torch, cell.op) if cell.target is None else torch.nn.functional.cross_entropy


def tensor_call(cell: Cell, function: Any) -> Callable[[], Any]:  # noqa: ANN401
    """Return the call of a function of tensors that makes up a cell; a gradient comes from autograd."""
    import torch

    x = torch_view(cell.x)
    if cell.target is None:
        return lambda: function(x, AXIS)
    target = torch.from_numpy(cell.target)
    if cell.op == "cross_entropy":
        return lambda: function(x, target)
    x.requires_grad_()
    return lambda: torch.autograd.grad(function(x, target), x)[0]


def to_array(cell: Cell) -> Callable[[Any], Array]:
    """Return how a result becomes an array of the cell's dtype."""
    return lambda tensor: from_tensor(tensor, cell.x.dtype)
