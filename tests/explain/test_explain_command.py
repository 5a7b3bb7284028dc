"""``normexp explain`` as a user meets it: numbers on the command line, files, widths, colours, mistakes, time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from normexp import cli
from normexp.explain import as_values, explain


def run(*arguments):
    return cli.main(["explain", *arguments])


def process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "normexp", "explain", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (["-1000", "0", "1000"], [-1000, 0, 1000]),
        (["-1e3", "-.5", "-inf", "1E-2"], [-1000, -0.5, "-inf", 0.01]),
        (["-1,2,-inf"], [-1, 2, "-inf"]),
        (["-1,", "2"], [-1, 2]),
        (["[-1, 2]"], [-1, 2]),
        (["+inf", "-Infinity"], ["inf", "-inf"]),
        (["--target", "0", "-1", "-2e0"], [-1, -2]),
    ],
)
def test_numbers_on_the_command_line(words, row, capsys):
    assert run(*words, "--dtype", "float64", "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert list(json.loads(out)["logits"].values()) == row


def test_options_stay_options():
    assert as_values(["-h", "--json", "-1e3", "-1,-2", "a", "-inf", "-x"]) == [
        "-h", "--json", " -1e3", " -1,-2", "a", " -inf", "-x",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 132])
@pytest.mark.parametrize("row", [["-1000", "-200", "0", "200", "1000", "--target", "0"], ["20", "0", "--target", "0"]])
def test_the_tables_are_as_wide_as_the_terminal_and_say_it_all(columns, row, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(*row) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert "\x1b" not in out
    words = " ".join(out.split())
    e = explain([float(word) for word in row[:-2]], target=0)
    for finding in e.findings:
        assert finding.text in words
    for stage in e.stages:
        for line in stage.lines:
            for part in (line.exact, *(f"{cell.mark} " for cell in line.cells.values() if cell.mark)):
                assert part in out


def test_a_pipe_and_no_color():
    done = process("20", "0", "--target", "0", NO_COLOR="1")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert " 0 D 9.3e+06" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals as POSIX has them")
@pytest.mark.parametrize("no_color", [True, False])
def test_a_terminal(no_color):
    """Colours where they are wanted; and the letters are there all the same."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    if no_color:
        environment["NO_COLOR"] = "1"
    arguments = [sys.executable, "-m", "normexp", "explain", "20", "0", "--target", "0"]
    with subprocess.Popen(arguments, stdout=theirs, env=environment) as running:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 1000):
                seen += chunk
        except OSError:  # how a pseudo-terminal ends
            pass
        assert running.wait(timeout=60) == 0
    os.close(ours)
    assert (b"\x1b[1;31m" in seen) is not no_color
    assert b"the gradient is" in seen


def test_json_is_the_python_function(capsys):
    assert run("-1000", "0", "1000", "--target", "1", "--dtype", "bfloat16", "--temperature", "2", "--json") == 0
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    e = explain([-1000, 0, 1000], dtype="bfloat16", target=1, temperature=2)
    assert document["temperature"] == 2
    assert [one["text"] for one in document["findings"]] == [one.text for one in e.findings]
    p = next(stage for stage in document["stages"] if stage["stage"] == "p")
    assert p["lines"][2]["routes"]["naive"] == {"value": "nan", "state": "NaN", "ulp": "inf", "mark": "N"}
    assert p["lines"][0]["exact"].endswith("e-435")
    assert float(document["softmax_before_loss"]["lowest_loss"]) == pytest.approx(np.log1p(2 / np.e))


def test_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(4, 7))
    np.save("x.npy", x.astype(np.float16))
    np.save("one.npy", x[2].astype(">f4"))
    np.save("column.npy", np.asfortranarray(x))
    np.save("counts.npy", np.array([[1, 2, 3]]))
    for arguments, row, dtype in (
        (["x.npy", "--row", "2"], x[2].astype(np.float16), "float16"),
        (["x.npy", "--row", "-1"], x[3].astype(np.float16), "float16"),
        (["one.npy"], x[2].astype(np.float32), "float32"),
        (["column.npy", "--row", "1"], x[1], "float64"),
        (["column.npy", "--row", "1", "--dtype", "float16"], x[1].astype(np.float16), "float16"),
        (["counts.npy"], np.array([1, 2, 3]), "float32"),
    ):
        assert run("--file", *arguments, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["dtype"] == dtype
        assert list(document["logits"].values()) == row.tolist()


@pytest.fixture
def bad_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((3, 4), np.float32))
    np.save("row.npy", np.zeros(4))
    np.save("0d.npy", np.zeros(()))
    np.save("3d.npy", np.zeros((2, 3, 4)))
    np.save("empty.npy", np.zeros((0, 4)))
    np.save("empty_row.npy", np.zeros(0))
    np.save("complex.npy", np.zeros((1, 4), complex))
    np.save("objects.npy", np.array([None, 1]), allow_pickle=True)
    np.save("text.npy", np.array(["a"]))
    np.savez("archive.npz", x=np.zeros(3))
    (tmp_path / "nothing.npy").write_bytes(b"")
    (tmp_path / "other.npy").write_text("1 2 3")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    (tmp_path / "folder.npy").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no logits: give some numbers, or --file x.npy"),
        ([","], "no logits"),
        (["abc"], "'abc' is no number"),
        (["1", "2x"], "'2x' is no number"),
        (["1;2"], "'1;2' is no number"),
        (["1", "nan"], "'nan' is no number"),
        (["-nan", "1"], "'-nan' is no number"),
        (["1e400", "1"], "'1e400' is beyond the largest float64, 1.798e+308"),
        (["-1e400,1"], "'-1e400' is beyond the largest float64"),
        (["--file", ""], "cannot read '': No such file"),
        (["1", "2", "--target", "2"], "target 2 is out of range: the 2 classes are 0 to 1"),
        (["1", "2", "--target", "-1"], "target -1 is out of range"),
        (["1", "2", "--target", "-1e9"], "--target must be an integer, not '-1e9'"),
        (["1", "2", "--target", "nan"], "--target must be an integer, not 'nan'"),
        (["1", "2", "--temperature", "-1e3"], "temperature must be positive and finite"),
        (["1", "2", "--temperature", "inf"], "temperature must be positive and finite"),
        (["1", "2", "--temperature", "x"], "--temperature must be a number, not 'x'"),
        (["1", "2", "--temperature", "1e-9", "--dtype", "float16"], "temperature 1e-09 is 0 in float16"),
        (["1", "2", "--dtype", "float8"], "dtype 'float8' is none of float16, bfloat16, float32, float64"),
        (["1", "2", "--row", "0"], "--row goes with --file"),
        (["1", "--file", "x.npy"], "VALUES and --file are two rows"),
        (["--file", "missing.npy"], "cannot read missing.npy: No such file"),
        (["--file", "folder.npy"], "cannot read folder.npy: Is a directory"),
        (["--file", "x.npy"], "x.npy has 3 rows; say which: --row R, 0 to 2"),
        (["--file", "x.npy", "--row", "3"], "--row 3 is out of range: x.npy has 3 rows, 0 to 2"),
        (["--file", "x.npy", "--row", "-4"], "--row -4 is out of range"),
        (["--file", "x.npy", "--row", "1.5"], "--row must be an integer, not '1.5'"),
        (["--file", "row.npy", "--row", "0"], "it is a single row, and takes no --row"),
        (["--file", "0d.npy"], "0d.npy has shape (); expected logits of shape (K,) or (N, K)"),
        (["--file", "3d.npy"], "3d.npy has shape (2, 3, 4); expected logits"),
        (["--file", "empty.npy"], "empty"),
        (["--file", "empty_row.npy"], "empty"),
        (["--file", "complex.npy"], "complex.npy has dtype complex128; expected numbers"),
        (["--file", "text.npy"], "text.npy has dtype <U1; expected numbers"),
        (["--file", "objects.npy"], "objects.npy cannot be read as .npy"),
        (["--file", "archive.npz"], "archive.npz cannot be read as .npy: it is an .npz archive"),
        (["--file", "nothing.npy"], "nothing.npy cannot be read as .npy"),
        (["--file", "other.npy"], "other.npy cannot be read as .npy"),
        (["--file", "cut.npy", "--row", "2"], "cut.npy cannot be read as .npy"),
        (["1", "2", "--plot", "a.pdf"], "--plot 'a.pdf' must end in .png or .svg"),
        (["1", "2", "--plot", "no/such/a.svg"], "cannot write --plot 'no/such/a.svg': No such file"),
        (["--file", "x.svg", "--plot", "./x.svg"], "--plot './x.svg' would overwrite 'x.svg'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, message, bad_files, capsys):
    before = sorted(bad_files.iterdir())
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("normexp explain: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(bad_files.iterdir()) == before


def test_a_missing_package(monkeypatch, capsys):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("flint", "matplotlib") else real(name)
    )
    assert run("1", "2") == 2
    assert capsys.readouterr().err == 'normexp explain: needs flint: pip install "normexp[explain]"\n'
    assert run("1", "2", "--plot", "a.svg") == 2
    assert capsys.readouterr().err == 'normexp explain: needs flint, matplotlib: pip install "normexp[explain]"\n'


def test_pictures(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    row = ["-1000", "-200", "0", "200", "1000", "--target", "0"]
    for name in ("a.png", "b.PNG", "a.svg", "b.svg"):
        assert run(*row, "--plot", str(tmp_path / name)) == 0
    assert "what happens here" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


def test_what_a_picture_shows(tmp_path, monkeypatch):
    """A cell for each number, in the colour of its state and with its mark; bars as high as the exact values."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, to, **_: figures.append(self) or to.write(b"picture"))
    assert run("20", "0", "-inf", "--target", "0", "--plot", str(tmp_path / "a.svg")) == 0
    e = explain([20, 0, -np.inf], target=0)
    cells, p, gradient = figures[0].axes
    assert len(cells.patches) == len(cells.texts) == 3 * sum(len(stage.marked) for stage in e.stages)
    assert sum(text.get_text() == "0 D" for text in cells.texts) == 3
    assert len({patch.get_facecolor() for patch in cells.patches}) == 3  # normal, zero, inf
    for axes, key in ((p, "p"), (gradient, "grad")):
        assert [bar.get_height() for bar in axes.patches] == [float(e.stage(key).line(i).value) for i in range(3)]
    assert gradient.lines[0].get_xdata().tolist() == [0]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "x.npy"
    np.save(path, (np.random.default_rng(0).normal(size=(3, 50_000)) * 20).astype(np.float32))
    return str(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-1000", "-200", "0", "200", "1000", "--dtype", "float64"],
        ["1000", "-1000", "--dtype", "float16"],
        ["20", "0", "--target", "0"],
        ["-inf", "-inf"],
        ["--row", "1", "--target", "7"],
        ["--row", "1", "--target", "7", "--dtype", "float64"],
    ],
    ids=" ".join,
)
def test_it_takes_no_second(arguments, large):
    """The bar is 1 s on an idle machine: 0.3 s for short rows, 0.8 s for long ones.

    Other work must not decide, so the processor's time counts; a busy neighbour on the same core stretches that, too,
    by up to a half: best of three.
    """
    if arguments[0] == "--row":
        arguments = ["--file", large, *arguments]
    took = []
    for _ in range(3):
        before = os.times()
        done = process(*arguments)
        after = os.times()
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) < 200
        if took[-1] < 1:
            break
    assert min(took) < 1.5


def test_only_what_is_needed_is_imported():
    program = (
        "import sys\n"
        "from normexp.cli import main\n"
        "main(['explain', '20', '0', '--target', '0'])\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'onnx', 'onnxruntime', 'jax', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
