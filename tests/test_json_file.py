"""A file wholly or not at all."""

import json
import math
import os
import stat
import subprocess
import sys

import pytest

from normexp._json_file import JsonFile


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    path.chmod(0o640)
    with JsonFile(path) as file:
        assert path.read_text() == "old"
        file.write({"a": [1, math.inf, {"b": (math.nan, 0.5)}], 2: None})
    assert json.loads(path.read_text()) == {"a": [1, "inf", {"b": ["nan", 0.5]}], "2": None}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_new_file_has_the_usual_rights(tmp_path):
    with JsonFile(tmp_path / "ours.json") as file:
        file.write({})
    (tmp_path / "theirs.json").write_text("")
    modes = {(tmp_path / name).stat().st_mode for name in ("ours.json", "theirs.json")}
    assert len(modes) == 1


@pytest.mark.parametrize("before", [None, "old"])
def test_nothing_is_left_behind_when_interrupted(tmp_path, before):
    path = tmp_path / "out.json"
    if before is not None:
        path.write_text(before)
    with pytest.raises(KeyboardInterrupt), JsonFile(path):
        raise KeyboardInterrupt
    assert (path.read_text() if before is not None else None) == before
    assert os.listdir(tmp_path) == (["out.json"] if before is not None else [])


def test_a_document_that_is_none_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(TypeError), JsonFile(path) as file:
        file.write({"a": object()})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    with JsonFile(link) as file:
        file.write({"a": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}


def test_a_device_is_written_to_and_not_replaced():
    with JsonFile(os.devnull) as file:
        file.write({"a": 1})
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_unwritable_paths_are_found_on_entering(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "out.json", tmp_path / ("n" * 400)):
        with pytest.raises(OSError, match=str(path)[:30]) as caught, JsonFile(path):
            pytest.fail("entered")
        assert ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError), JsonFile(path):
        pytest.fail("entered")


def test_an_open_pipe_is_written_to() -> None:
    """/dev/stdout, where it is a pipe, has no path of its own."""
    script = "from normexp._json_file import JsonFile\nwith JsonFile('/dev/stdout') as file: file.write({'a': 1})"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert json.loads(run.stdout) == {"a": 1}
