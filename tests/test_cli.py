"""The command: exit codes, what it imports, interruption, pipes."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import normexp
from normexp import cli
from normexp.verify import command as verify_command


def command(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "normexp", *arguments], capture_output=True, text=True, **options)


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from normexp.cli import main\n"
        "for command in ([], ['verify'], ['bench'], ['eval'], ['explain'], ['lab']):\n"
        "    try: main([*command, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'flint', 'rich', 'sklearn', 'scipy', 'ml_dtypes', 'onnx', 'onnxruntime', 'jax', 'json'}\n"
        "heavy |= {'matplotlib', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "verify" in done.stdout
    assert "--json FILE" in done.stdout
    assert done.stderr.strip() in ("[]", "['json']")


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["verify", "--nothing"], ["verify", "--json"]])
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: normexp" in capsys.readouterr().err


def test_version_and_config(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"normexp {normexp.__version__}\n"
    assert cli.main(["config"]) == 0
    assert "level" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["", "no/such/folder/x.json", "."])
def test_an_unwritable_file_is_found_before_the_work(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("normexp.verify.run.run", lambda *files, full: pytest.fail("the work began"))
    assert cli.main(["verify", "--json", path]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"normexp verify: cannot write --json {path!r}: ")


def test_a_missing_extra_is_named(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flint" else real(name))
    assert cli.main(["verify"]) == 2
    assert capsys.readouterr().err == 'normexp verify: needs flint: pip install "normexp[verify]"\n'


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_exit_codes(monkeypatch, passed, code):
    monkeypatch.setattr("normexp.verify.run.run", lambda *files, full: passed)
    assert cli.main(["verify"]) == code


def test_interrupted_in_process(monkeypatch, capsys, tmp_path):
    def interrupted(*files, full):
        raise KeyboardInterrupt

    monkeypatch.setattr("normexp.verify.run.run", interrupted)
    assert cli.main(["verify", "--json", str(tmp_path / "x.json")]) == 130
    assert capsys.readouterr().err == "normexp: interrupted\n"
    assert os.listdir(tmp_path) == []


def test_the_whole_run(tmp_path):
    """As a user sees it: through a pipe, in time, the exit code, the summary and the file telling one story."""
    path = tmp_path / "verify.json"
    start = time.monotonic()
    done = command("verify", "--json", str(path), env={**os.environ, "NO_COLOR": "1"})
    assert time.monotonic() - start < 60, "the bar on two cores"
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert done.returncode == (0 if document["passed"] else 1), done.stderr
    assert f"{len(document['conformance'])} conformance cells" in done.stdout
    assert done.stdout.rstrip().endswith("PASS" if document["passed"] else "FAIL")
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert document["failures"] == []


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupted_from_outside(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-m", "normexp", "verify", "--json", str(tmp_path / "x.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The trace says when the long work has begun.
    for line in running.stderr:
        if "conformance" in line:
            break
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "normexp: interrupted\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_reader_who_leaves():
    running = subprocess.Popen(
        [sys.executable, "-m", "normexp", "verify"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "normexp" in running.stdout.readline()
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=60) == 141
    assert "Traceback" not in err


def test_needed_modules_are_those_of_the_extra():
    assert set(verify_command._NEEDED) == {"flint", "rich", "ml_dtypes", "sklearn"}
