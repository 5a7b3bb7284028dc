"""``normexp verify`` with a function of one's own: what it prints and writes, its exit codes, its messages."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from normexp import cli
from normexp.verify import cases, conform, shrink, subject
from normexp.verify.example import EXAMPLE

MODULE = '''
import numpy as np
import normexp


def right(x):
    return normexp.softmax(x)


def wrong(x):
    """No shift, and no bfloat16."""
    if x.dtype.itemsize == 2:
        raise TypeError("no half types")
    with np.errstate(all="ignore"):
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def log_of_it(x):
    return normexp.log_softmax(x)


def losses(logits, labels):
    return normexp.cross_entropy(logits, labels, reduction="none")


def nothing(x):
    raise RuntimeError("no")


number = 3
'''


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module in the current directory, few families, little time for small inputs."""
    (tmp_path / "functions_to_try.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    few = tuple(one for one in cases.FAMILIES if one.name in ("spread x1", "spread x1000"))
    monkeypatch.setattr(conform, "FAMILIES", few)
    monkeypatch.setattr(shrink, "_SECONDS", 0.1)
    yield
    sys.modules.pop("functions_to_try", None)


def verify(*arguments):
    return cli.main(["verify", *arguments])


def test_what_is_right_passes(capsys):
    assert verify("--impl", "functions_to_try:right") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert out.startswith("normexp verify: functions_to_try:right as softmax of numpy arrays: ")
    assert " 0 failed, worst error in ULP: float32 0." in out
    assert out.endswith(": PASS\n")
    assert err.startswith("normexp verify: checks of right (")


def test_what_is_wrong_fails(capsys):
    assert verify("--impl", "functions_to_try:wrong", "--op", "softmax") == 1
    out = capsys.readouterr().out
    assert "not tried in float16: TypeError: no half types" in out
    assert "not tried in bfloat16: TypeError: no half types" in out
    assert "float32, spread x1000: wrong" in out
    assert "smallest: softmax([[" in out
    assert "softmax([]), float32" not in out
    assert out.splitlines()[-1].startswith("normexp verify: functions_to_try:wrong as softmax of numpy arrays: ")
    assert out.endswith(": FAIL\n")


def test_the_op_the_formats_and_the_bound_are_as_asked(capsys):
    options = ["--op", "log_softmax", "--dtype", "float32", "--dtype", "float16", "--arrays", "numpy"]
    assert verify("--impl", "functions_to_try:log_of_it", *options) == 0
    out = capsys.readouterr().out
    assert "as log_softmax of numpy arrays" in out
    assert "float32 0." in out
    assert "float16 0." in out
    assert "float64" not in out
    # What is right to half a unit is not right to a tenth.
    assert verify("--impl", "functions_to_try:log_of_it", *options, "--max-ulp", "0.1") == 1
    assert "ULP (allowed: 0.1)" in capsys.readouterr().out
    # And it is no softmax.
    assert verify("--impl", "functions_to_try:log_of_it", "--dtype", "float32", "--max-ulp", "1000") == 1


def test_losses_and_tensors(capsys):
    assert verify("--impl", "functions_to_try:losses", "--op", "cross_entropy", "--dtype", "float32") == 0
    pytest.importorskip("torch")
    options = ["--op", "log_softmax", "--arrays", "torch", "--device", "cpu", "--dtype", "float32"]
    assert verify("--impl", "torch:log_softmax", *options) == 1
    assert "torch:log_softmax as log_softmax of torch arrays" in capsys.readouterr().out


def test_json(tmp_path):
    path = tmp_path / "outcome.json"
    assert verify("--impl", "functions_to_try:wrong", "--json", str(path)) == 1
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["name"] == "wrong"
    assert document["dtypes"] == ["float32", "float64"]
    assert document["refused"] == dict.fromkeys(("float16", "bfloat16"), "TypeError: no half types")
    assert document["passed"] is False
    assert document["checks"] > len(document["findings"]) > 0
    (worst,) = [one for one in document["findings"] if (one["what"], one["dtype"]) == ("spread x1000", "float32")]
    assert worst["ulp"] == "inf"
    assert verify("--impl", "functions_to_try:right", "--dtype", "float32", "--json", str(path)) == 0
    document = json.loads(path.read_text())
    assert document["passed"] is True
    assert document["findings"] == []


def test_html_and_full_reach_the_run(tmp_path, monkeypatch):
    asked = []

    def run(file, page, *, full):
        asked.append(full)
        page.write_bytes(b"<html/>")
        return True

    monkeypatch.setattr("normexp.verify.run.run", run)
    path = tmp_path / "page.html"
    assert verify("--html", str(path)) == 0
    assert verify("--html", str(path), "--full") == 0
    assert asked == [False, True]
    assert ElementTree.fromstring(path.read_text()).tag == "html"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--impl", "functions_to_try"], "names no function: it should read package.module:function"),
        (["--impl", "no_such_module_here:f"], "cannot import no_such_module_here: ModuleNotFoundError: "),
        (["--impl", "functions_to_try:absent"], "functions_to_try has no absent"),
        (["--impl", "functions_to_try:number"], "functions_to_try:number is int, not a function"),
        (
            ["--impl", "functions_to_try:nothing"],
            "it gives no softmax of anything it was given:\n  numpy, float32: Run",
        ),
        (
            ["--impl", "functions_to_try:right", "--op", "sigmoid"],
            f"--op 'sigmoid' is none of {', '.join(subject.OPS)}",
        ),
        (["--impl", "functions_to_try:right", "--arrays", "cupy"], "--arrays 'cupy' is none of numpy, torch, jax"),
        (["--impl", "functions_to_try:right", "--dtype", "float8"], "--dtype 'float8' is none of float32, float64, "),
        (["--impl", "functions_to_try:right", "--max-ulp", "-1"], "--max-ulp must be 0 or more, not -1.0"),
        (["--impl", "functions_to_try:right", "--max-ulp", "nan"], "--max-ulp must be 0 or more, not nan"),
        (["--impl", "functions_to_try:right", "--arrays", "numpy", "--device", "cuda"], "arrays have no device"),
        (["--impl", "functions_to_try:right", "--full"], "--html and --full do not go with --impl"),
        (["--impl", "functions_to_try:right", "--html", "x.html"], "--html and --full do not go with --impl"),
        *(
            ([option, value], "--op, --arrays, --device, --dtype and --max-ulp go with --impl MODULE:FUNCTION")
            for option, value in (
                *(("--op", "softmax"), ("--arrays", "numpy"), ("--device", "cpu"), ("--dtype", "float32")),
                ("--max-ulp", "0"),
            )
        ),
        (["--json", "x.out", "--html", "./x.out"], "--html './x.out' would overwrite --json 'x.out'"),
        (["--html", "no/such/folder/x.html"], "cannot write --html 'no/such/folder/x.html': No such file"),
        (["--impl", "functions_to_try:right", "--json", "no/such/x.json"], "cannot write --json 'no/such/x.json': No"),
    ],
)
def test_mistakes_are_named(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("normexp.verify.run.run", lambda *files, full: pytest.fail("the work began"))
    assert verify(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("normexp verify: ")
    assert message in err


def test_a_number_that_is_none_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as raised:
        verify("--impl", "functions_to_try:right", "--max-ulp", "few")
    assert raised.value.code == 2
    assert "--max-ulp" in capsys.readouterr().err


def test_the_example_is_a_test_file(tmp_path, capsys):
    assert verify("--write-example") == 0
    out = capsys.readouterr().out
    assert out == EXAMPLE
    (tmp_path / "test_example.py").write_text(out)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_example.py"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed, 1 xfailed" in done.stdout
