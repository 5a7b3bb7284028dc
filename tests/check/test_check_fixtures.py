"""Whole programs, right and wrong: each finding stands where the comment `# expect[name]` says, and nowhere else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from normexp.check import check
from normexp.check.report import Report
from normexp.check.rules import RULES

FIXTURES = Path(__file__).parent / "fixtures"
CASES = sorted(path for path in FIXTURES.iterdir() if path.is_dir() or path.suffix in (".py", ".ipynb"))
INFO = {rule.name for rule in RULES if rule.severity == "info"}
EXPECT = re.compile(r"#\s*expect\[([\w, -]+)\]")

Place = tuple[str, int | None, int, str]


def expected(case: Path) -> Counter[Place]:
    """Path, cell, line and name of each marker."""
    found: Counter[Place] = Counter()
    for path in [case] if case.is_file() else sorted(case.rglob("*.py")):
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            texts = [(number, "".join(cell["source"])) for number, cell in enumerate(cells, 1)]
        else:
            texts = [(None, path.read_text(encoding="utf-8"))]
        for cell, text in texts:
            for number, line in enumerate(text.split("\n"), 1):
                for names in EXPECT.findall(line):
                    found.update((path.name, cell, number, name.strip()) for name in names.split(","))
    return found


def given(report: Report) -> Counter[Place]:
    found: Counter[Place] = Counter()
    for finding in report.findings:
        line = report.line(finding.path, finding.line)
        found[Path(finding.path).name, line.cell, line.number, finding.name] += 1
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_findings_stand_where_they_are_expected(case: Path) -> None:
    report = check(case)
    markers, findings = expected(case), given(report)
    # Findings of severity info are harmless by definition, so a right program may have some that it does not mark.
    assert {place for place in findings - markers if place[3] not in INFO} == set()
    assert markers - findings == Counter()
    assert report.notes == ()


def test_there_is_something_to_find() -> None:
    wrong = [case for case in CASES if expected(case)]
    assert len(CASES) >= 60
    assert len(wrong) >= 30
    assert len(CASES) - len(wrong) >= 30
    marked = {place[3] for case in CASES for place in expected(case)}
    assert marked == {rule.name for rule in RULES}
