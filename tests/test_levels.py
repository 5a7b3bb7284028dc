"""CPU levels: each gives the same bits, NORMEXP_CPU picks one, and nonsense there is refused."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from support import python

import normexp

LEVELS = list(normexp.show_config()["levels"])
BATTERY = str(Path(__file__).with_name("level_battery.py"))
PRINT = "import normexp; print(normexp.show_config()['level'])"


@pytest.fixture(scope="module")
def best() -> dict[str, str]:
    """The digests of the battery at the level this machine picks."""
    return digests()


def digests(**environment: str) -> dict[str, str]:
    """Run the battery in a process of its own."""
    result = python(BATTERY, **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("level", LEVELS)
def test_same_bits_at_every_level(best: dict[str, str], level: str) -> None:
    got = digests(NORMEXP_CPU=level)
    assert got["level"] == level
    different = [section for section in best if got[section] != best[section] and section != "level"]
    assert not different, f"{level} and {best['level']} differ in: {', '.join(different)}"


def test_battery_notices_a_bit(best: dict[str, str]) -> None:
    # Sections differ from one another, so that a digest stands for what was put in.
    sections = {key: value for key, value in best.items() if key != "level"}
    assert len(sections) > 350
    assert len(set(sections.values())) == len(sections)


def test_levels_of_this_machine() -> None:
    assert len(set(LEVELS)) == len(LEVELS)
    if platform.machine() in ("x86_64", "AMD64"):
        assert LEVELS[-1] == "baseline"
        assert set(LEVELS) <= {"baseline", "v3", "v4"}


def test_the_best_level_is_taken_by_default() -> None:
    for unset in ({}, {"NORMEXP_CPU": ""}):
        result = python("-c", PRINT, **unset)
        assert (result.stdout, result.stderr) == (f"{LEVELS[0]}\n", "")


@pytest.mark.parametrize("level", ["nonsense", "V3", "v5", "baseline,v3", "0"])
def test_unknown_level(level: str) -> None:
    result = python("-c", PRINT, NORMEXP_CPU=level)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert "NORMEXP_CPU" in last
    assert level in last
    for known in LEVELS:
        assert known in last
