"""The package: its names, their signatures, what importing it brings along."""

from __future__ import annotations

import inspect
import json
from importlib import metadata, resources

import pytest
from support import MAPS, python

import normexp

KEYWORDS_OF_MAPS = {"axis": -1, "temperature": 1.0, "where": None, "out": None}


@pytest.mark.parametrize("name", normexp.__all__)
def test_public_names_are_documented(name: str) -> None:
    public = getattr(normexp, name)
    assert public.__name__ == name
    assert inspect.getdoc(public)


def test_no_other_public_names() -> None:
    modules = {name for name in dir(normexp) if inspect.ismodule(getattr(normexp, name))}
    assert {name for name in dir(normexp) if not name.startswith("_")} - modules == set(normexp.__all__)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        *((name, KEYWORDS_OF_MAPS) for name in MAPS),
        ("logsumexp", {"axis": -1, "keepdims": False, "where": None, "out": None}),
    ],
)
def test_signatures(name: str, keywords: dict[str, object]) -> None:
    first, *rest = inspect.signature(getattr(normexp, name)).parameters.values()
    assert (first.name, first.kind) == ("x", first.POSITIONAL_ONLY)
    assert all(parameter.kind == parameter.KEYWORD_ONLY for parameter in rest)
    assert {parameter.name: parameter.default for parameter in rest} == keywords


def test_import_brings_numpy_and_nothing_heavier() -> None:
    script = "import json, sys, normexp; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    bare = "import json, sys, numpy; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = set(json.loads(python("-c", script).stdout)) - set(json.loads(python("-c", bare).stdout))
    foreign = {
        "torch",
        "scipy",
        "ml_dtypes",
        "flint",
        "mpmath",
        "rich",
        "sklearn",
        "onnx",
        "onnxruntime",
        "jax",
        "argparse",
        "asyncio",
    }
    assert "normexp" in loaded
    assert not loaded & foreign


def test_it_is_typed_and_versioned() -> None:
    assert resources.files("normexp").joinpath("py.typed").is_file()
    assert normexp.__version__ == metadata.version("normexp")


def test_show_config() -> None:
    config = normexp.show_config()
    assert isinstance(config, dict)
    assert config["version"] == normexp.__version__
    assert config["level"] in config["levels"]
    assert config["threads"] == normexp.get_num_threads()
    lines = str(config).splitlines()
    assert len(lines) == len(config)
    for (key, value), line in zip(config.items(), lines, strict=True):
        assert line.startswith(key)
        assert str(value) in line
