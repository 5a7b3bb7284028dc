"""What each rule says of itself: its examples are run, its page is current, its summary is one sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from normexp.check import check
from normexp.check.pages import page, table
from normexp.check.rule import Rule
from normexp.check.rules import MODULES, RULES

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


def ids(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_the_bad_example_gives_this_finding_alone(rule: Rule, tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(rule.bad)
    assert [(finding.code, finding.severity) for finding in check(path).findings] == [(rule.code, rule.severity)]


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_the_good_example_gives_none(rule: Rule, tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(rule.good)
    report = check(path)
    assert report.findings == ()
    assert report.notes == ()


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_what_a_rule_says(rule: Rule) -> None:
    assert re.fullmatch(r"[^.]+(\.\w[^.]*)*\.", rule.summary), "one sentence"
    assert len(rule.why.split()) > 25
    assert rule.references
    assert all(address.startswith("https://") for _, address in rule.references)
    assert rule.bad != rule.good
    ast.parse(rule.bad)
    ast.parse(rule.good)


def test_codes_are_in_order_and_names_are_those_of_the_files() -> None:
    assert [rule.code for rule in RULES] == sorted({rule.code for rule in RULES})
    names = [module.__name__.rpartition(".")[2].replace("_", "-") for module in MODULES]
    assert [rule.name for rule in RULES] == names
    folder = ROOT / "src" / "normexp" / "check" / "rules"
    assert {path.stem.replace("_", "-") for path in folder.glob("[a-z]*.py")} == set(names)


def test_the_pages_are_current() -> None:
    """`python -m normexp.check.pages docs/rules` writes them."""
    assert {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "rules").iterdir()} == {
        f"{rule.name}.md": page(rule) for rule in RULES
    }
    assert table() in (DOCS / "check.md").read_text(encoding="utf-8")
