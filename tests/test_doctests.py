"""The examples in the docstrings do what they show, and every public function has one."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import normexp

# What a module may need beyond numpy: packages of the optional extras.
OPTIONAL = ("flint", "ml_dtypes", "rich", "sklearn", "torch", "onnx", "onnxruntime", "scipy")
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(normexp.__path__, "normexp.", onerror=lambda name: None)
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    if name.endswith("__main__"):
        pytest.skip("importing it would run it")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples fail; see the captured output"


@pytest.mark.parametrize("name", normexp.__all__)
def test_every_public_name_has_an_example(name: str) -> None:
    public = getattr(normexp, name)
    tests = doctest.DocTestFinder(recurse=False).find(public, name)
    assert any(test.examples for test in tests), f"{name} shows no example"
