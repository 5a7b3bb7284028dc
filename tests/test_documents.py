"""Every file, link and make target that the documents and comments name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("csrc", "docs", "src", "tests", "tools", ".ci")
GENERATED = {"src/normexp/_engine.pyi"}  # by the build

PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "docs/rules/*.md")
    for path in sorted(ROOT.glob(pattern))
]
BUILD = ["Makefile", "CMakeLists.txt", "pyproject.toml", ".ci/run"]
CODE = [
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".hpp", ".cpp") and path.name != Path(__file__).name
]
SOURCE_NAMES = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*")} | {"_x.py"}  # any private one


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def links(text: str) -> Iterator[str]:
    """Targets of links within the project, and within the page; code is no text."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]+`(?!\])", "", text, flags=re.S)):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings: letters and digits, - for a space; -1 and so on for the same again."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one) is not None for one in found)
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def leads_somewhere(page: str, link: str) -> bool:
    """Whether the file is there, and the heading in it."""
    target, _, anchor = link.partition("#")
    file = (ROOT / page).parent / target if target else ROOT / page
    return file.exists() and (not anchor or anchor in anchors(file.read_text(encoding="utf-8")))


def targets(text: str) -> Iterator[str]:
    """Targets of make in `backticks` or alone on a line, as in a code block, with a comment sign or without."""
    for match in re.finditer(
        r"(?:`|^[#\s]*(?:\$ )?)make (?:[A-Z]+=\S+ )?([a-z]+)(?=`|\s*$|\s+#|\s+[A-Z]+=)", text, re.M
    ):
        yield match[1]


def paths(text: str) -> Iterator[str]:
    """Files and folders of the project, named from its root; patterns with a * are left out."""
    folders = "|".join(map(re.escape, FOLDERS))
    for match in re.finditer(rf"(?<![\w./-])(?:{folders})/[\w./-]*\w(?![\w*{{]|/\*)", text):
        yield match[0]


def names(text: str) -> Iterator[str]:
    """Source files named without their folder, as comments do."""
    yield from re.findall(r"(?<![\w./*-])\w+\.(?:hpp|cpp|py)\b", text)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert [link for link in links(read(page)) if not leads_somewhere(page, link)] == []


@pytest.mark.parametrize("file", [*PAGES, *BUILD, *CODE])
def test_what_is_named_exists(file: str) -> None:
    text = read(file)
    known = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(targets(text)) <= known
    assert [path for path in paths(text) if path not in GENERATED and not (ROOT / path).exists()] == []
    if not file.endswith(".py"):  # Python's documentation may speak of the files of others
        assert [name for name in names(text) if name not in SOURCE_NAMES] == []


def test_every_target_is_explained() -> None:
    makefile = read("Makefile")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    explained = set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE))
    assert set(phony[1].split()) == explained
    assert explained - {"help"} <= set(targets(read("CONTRIBUTING.md")))


def test_what_is_missing_would_be_noticed() -> None:
    text = "See [a](docs/none.md#b), [c](https://d.e/f), `make nothing` and\n    make some ARGS=-k\n"
    text += "but make sure of\ntests/x.py, docs/*.md, csrc/none.hpp; other.cpp."
    assert list(links(text + "[e](#f), `[g](h)`\n```\n[i](j)\n```\n")) == ["docs/none.md#b", "#f"]
    assert not leads_somewhere("README.md", "docs/none.md")
    assert not leads_somewhere("README.md", "docs/understanding-softmax.md#none")
    assert leads_somewhere("README.md", "docs/understanding-softmax.md#3-too-large-overflow")
    assert leads_somewhere("docs/understanding-softmax.zh.md", "#3-太大上溢")
    assert anchors("# A b: `c`!\n## A b c\n```\n# no\n```\n") == {"a-b-c", "a-b-c-1"}
    assert list(targets(text)) == ["nothing", "some"]
    assert list(paths(text)) == ["docs/none.md", "tests/x.py", "csrc/none.hpp"]
    assert list(names(text)) == ["other.cpp"]
