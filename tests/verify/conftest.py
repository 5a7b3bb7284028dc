"""Whom to try the proof on."""

import importlib

import pytest
from imposters import imposter

from normexp.verify import peers


@pytest.fixture
def ours():
    return peers.ours()


@pytest.fixture
def torch():
    pytest.importorskip("torch")
    return peers.by_name(peers.installed()[0], "PyTorch")


@pytest.fixture
def textbook():
    """The shifted form, under normexp's name: right by the formula, wrong by the contract."""
    return imposter(lambda function, x, temperature: peers.shifted(function, x / temperature))


@pytest.fixture
def no_torch(monkeypatch):
    """PyTorch and SciPy cannot be imported, and ONNX Runtime is broken."""
    real = importlib.import_module

    def import_module(name, package=None):
        if name == "torch" or name.startswith("scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "onnxruntime":
            raise OSError("libonnxruntime.so: cannot open shared object file")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)
