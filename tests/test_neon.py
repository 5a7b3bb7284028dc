"""AArch64: the engine compiles for it, and gives the same bits there, where the tools to try it are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import neon
import pytest


@pytest.mark.timeout(900)  # more than a minute to compile, and half a minute to run under emulation
def test_the_same_bits_as_on_this_machine() -> None:
    if lacking := neon.missing():
        pytest.skip("; ".join(lacking))
    if not neon.NATIVE.is_dir():
        pytest.skip(f"{neon.NATIVE} is not there: the package was not built by make")
    done = subprocess.run([sys.executable, neon.__file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bits" in done.stdout


def test_a_different_bit_is_noticed() -> None:
    one = neon.digests("float32 softmax two axes 01\nfloat64 state merged 02\n")
    assert neon.differences(one, dict(one)) == []
    assert neon.differences(one, {**one, "float64 state merged": "03"}) == ["float64 state merged"]
    assert neon.differences(one, {"float64 state merged": "02"}) == ["float32 softmax two axes"]


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert neon.main() == 2
    compiler, emulator = neon.missing()
    assert "apt-get install g++-aarch64-linux-gnu" in compiler
    assert "apt-get install qemu-user" in emulator
