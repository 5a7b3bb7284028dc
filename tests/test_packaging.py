"""What is shipped beside the code: stubs, documentation, metadata, and the README's promises."""

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import normexp
from normexp import _engine

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", normexp.__all__)
def test_docstrings_are_complete(name):
    public = getattr(normexp, name)
    fields = getattr(public, "_fields", ())  # of a named tuple: documented as its parameters
    members = [f"{name}.{part}" for part in vars(public) if not part.startswith("_") and part not in fields]
    for one in [name, *members]:
        errors = validate(f"normexp.{one}")["errors"]
        # Not asked for: an extended summary, examples of each method, and "see also" where there is nothing to see.
        assert [text for code, text in errors if code not in {"ES01", "EX01", "SA01"}] == [], one
    assert ">>>" in getattr(normexp, name).__doc__


def test_the_stub_is_shipped_and_matches_the_engine():
    stub = Path(_engine.__file__).with_name("_engine.pyi")
    if not stub.exists():
        pytest.skip("an engine built with sanitizers has no stub")
    tree = ast.parse(stub.read_text())
    stubbed = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert stubbed == {name for name, value in vars(_engine).items() if callable(value)}


def test_the_version_is_the_same_everywhere():
    assert f"[{normexp.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {normexp.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_only_runtime_dependency_is_numpy():
    required = importlib.metadata.requires("normexp") or []
    assert [re.split(r"\W", one, maxsplit=1)[0] for one in required if "extra ==" not in one] == ["numpy"]


@pytest.mark.parametrize("target", ["verify", "test"])
def test_readme_names_the_targets_of_the_makefile(target):
    assert f"make {target}" in (ROOT / "README.md").read_text()
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_files_stay_readable():
    """One idea a file: under 300 lines, by the rules of the house in CONTRIBUTING.md."""
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length >= 300} == {}
