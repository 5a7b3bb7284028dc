"""What people install: light to import, typed, and of one version everywhere."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

import normexp

ROOT = Path(__file__).parent.parent
PACKAGE = Path(normexp.__file__).parent


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_import_brings_numpy_and_nothing_heavier():
    brought = run(
        "import sys\n"
        "before = set(sys.modules)\n"
        "import normexp\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))\n"
    )
    assert brought.split() == ["normexp", "numpy"]


@pytest.mark.parametrize("name", normexp.__all__)
def test_public_names_are_documented(name):
    members = [f"{name}.{part}" for part in vars(getattr(normexp, name)) if not part.startswith("_")]
    for one in [name, *members]:
        errors = validate(f"normexp.{one}")["errors"]
        # Not asked for: an extended summary, examples of each method, and "see also" where there is nothing to see.
        assert [text for code, text in errors if code not in {"ES01", "EX01", "SA01"}] == [], one
    assert ">>>" in getattr(normexp, name).__doc__


def test_all_is_what_is_public():
    public = run("import normexp\nprint(*(n for n in vars(normexp) if not n.startswith('_')))").split()
    assert sorted(public) == sorted(normexp.__all__)


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()
    files = importlib.metadata.files("normexp")
    assert files is not None
    assert "normexp/_engine.pyi" in {file.as_posix() for file in files}


def test_the_stub_matches_the_engine():
    (stub,) = [file for file in importlib.metadata.files("normexp") or () if file.name == "_engine.pyi"]
    tree = ast.parse(Path(str(stub.locate())).read_text())
    stubbed = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert stubbed == {name for name, value in vars(normexp._engine).items() if callable(value)}


def test_versions_agree():
    assert importlib.metadata.version("normexp") == normexp.__version__
    assert normexp.show_config()["version"] == normexp.__version__
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
    """One idea a file: under 300 lines, by the house rules in CONTRIBUTING.md."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "src").rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 300
    }
    assert not long
