"""The command: exit codes, wrong arguments, folders, standard input, start-up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from normexp import cli
from normexp.check import check

ROOT = Path(__file__).parent.parent.parent
WRONG = "import torch.nn.functional as F\nloss = F.cross_entropy(F.softmax(x, 1), y)\n"
INFO = "import torch.nn.functional as F\np = F.softmax(logits)\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("text", "code"), [("x = 1\n", 0), (WRONG, 1), (INFO, 0)], ids=["clean", "error", "info"])
def test_exit_codes(text, code, capsys):
    assert cli.main(["check", write("a.py", text)]) == code
    assert ("NX" in capsys.readouterr().out) == (text != "x = 1\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs a PATH"),
        (["modle.py"], "no such file or folder: 'modle.py' (did you mean 'model.py'?)"),
        ([".", "--select", "NX9"], "unknown rule 'NX9'"),
        ([".", "--ignore", "double-sofmax"], "unknown rule 'double-sofmax' (did you mean 'double-softmax'?)"),
        ([".", "--format", "sarf"], "not 'sarf' (did you mean 'sarif'?)"),
        ([".", "--unsafe-fixes"], "goes with --fix"),
        (["-", "--fix"], "--fix cannot repair standard input"),
        (["--explain", "NX999"], "unknown rule 'NX999'"),
        ([".", "--output", "no/such/x.json"], "cannot write --output 'no/such/x.json'"),
        (["model.py", "--output", "model.py"], "would overwrite"),
    ],
)
def test_what_cannot_be_met_costs_one_line(arguments, said, capsys):
    write("model.py", WRONG)
    assert cli.main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("normexp check: ")
    assert said in err
    assert Path("model.py").read_text() == WRONG


def test_select_and_ignore_take_codes_beginnings_and_names(capsys):
    write("a.py", WRONG)
    for select, code in (("NX101", 1), ("nx1", 1), ("double-softmax,NX3", 1), ("NX2", 0)):
        assert cli.main(["check", "a.py", "--select", select]) == code
    assert cli.main(["check", "a.py", "--ignore", "NX3", "--ignore", "double-softmax"]) == 0


def test_folders_are_walked_in_order_without_what_is_not_the_projects(capsys):
    for path in ("b.py", "a/z.py", "a/b.pyw", "sub/c.ipynb/d.py"):
        write(path, WRONG)
    for path in (".venv/x.py", ".git/x.py", "build/x.py", "node_modules/p/x.py", "__pycache__/x.py", "e.egg-info/x.py"):
        write(path, WRONG)
    write("env/pyvenv.cfg", "")
    write("env/lib/x.py", WRONG)
    write("notes.txt", WRONG)
    assert cli.main(["check", ".", "--format", "json"]) == 1
    found = [finding["path"] for finding in json.loads(capsys.readouterr().out)]
    assert found == ["a/b.pyw", "a/z.py", "b.py", "sub/c.ipynb/d.py"]
    # What is named is checked, whatever it is called, and once.
    assert cli.main(["check", "notes.txt", "./notes.txt", os.path.abspath("notes.txt"), "--format", "json"]) == 1
    assert [finding["path"] for finding in json.loads(capsys.readouterr().out)] == ["notes.txt"]


def test_a_value_is_followed_from_file_to_file(capsys):
    write(
        "model.py",
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n    def forward(self, x):\n"
        "        return torch.softmax(self.fc(x), dim=1)\n",
    )
    write(
        "train.py",
        "from torch import nn\nfrom model import Net\n\nnet = Net()\ncriterion = nn.CrossEntropyLoss()\n"
        "out = net(x)\nloss = criterion(out, y)\n",
    )
    assert cli.main(["check", "."]) == 1
    assert "softmax at model.py:11 -> forward -> out at train.py:6 -> CrossEntropyLoss at train.py:7" in (
        capsys.readouterr().out
    )


def test_standard_input():
    done = subprocess.run(
        [sys.executable, "-m", "normexp", "check", "-"], input=WRONG, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.startswith("<stdin>:2:8 NX101 double-softmax error: ")


def test_output_goes_to_the_file(capsys):
    write("a.py", WRONG)
    assert cli.main(["check", "a.py", "--format", "json", "--output", "out.json"]) == 1
    assert capsys.readouterr().out == ""
    assert [finding["code"] for finding in json.loads(Path("out.json").read_text())] == ["NX101"]


def test_explain_prints_the_page(capsys):
    assert cli.main(["check", "--explain", "double-softmax"]) == 0
    by_name = capsys.readouterr().out
    assert by_name == (ROOT / "docs" / "rules" / "double-softmax.md").read_text(encoding="utf-8")
    assert cli.main(["check", "--explain", "nx101"]) == 0
    assert capsys.readouterr().out == by_name


def test_what_does_not_parse_is_a_note(capsys):
    write("old.py", "print 'hello'\n")
    write("a.py", WRONG)
    assert cli.main(["check", "."]) == 1
    out, err = capsys.readouterr()
    assert "1 error in 2 files" in out
    assert re.fullmatch(r"normexp check: old.py:1 does not parse as Python .*\(Python 2\?\)\n", err)


def test_interrupted(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    write("a.py", WRONG)
    monkeypatch.setattr("normexp.check.run.run", interrupted)
    assert cli.main(["check", "a.py", "--output", "x"]) == 130
    assert capsys.readouterr().err == "normexp: interrupted\n"
    assert os.listdir() == ["a.py"]


def test_nothing_heavy_is_imported_and_nothing_is_run():
    write("a.py", "import os\nos.mkdir('was run')\n" + WRONG)
    program = (
        "import sys\nfrom normexp.cli import main\ncode = main(['check', 'a.py'])\n"
        "print(code, sorted({'torch', 'rich', 'jax', 'tensorflow', 'keras', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("1 []\n")
    assert os.listdir() == ["a.py"]


def test_from_python():
    write("a.py", WRONG)
    report = check("a.py")
    assert [finding.name for finding in report.findings] == ["double-softmax"]
    assert report.failed
    assert not check(["a.py"], ignore=["NX1"]).failed
    with pytest.raises(ValueError, match="no such file"):
        check("b.py")


def test_the_hook_of_pre_commit_is_the_command():
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entry = re.search(r"^  entry: (.*)$", text, re.MULTILINE)
    assert entry
    command, *arguments = entry[1].split()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[command] == f"{cli.main.__module__}:{cli.main.__name__}"
    # pre-commit gives it file names.
    assert cli.main([*arguments, write("a.py", WRONG)]) == 1
    assert "types_or: [python, jupyter]" in text
    assert "language: python" in text
