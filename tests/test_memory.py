"""No call reads or writes outside its arrays."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support import DTYPES, FUNCTIONS, assert_same_bits, python

import normexp

GUARDED = str(Path(__file__).with_name("guarded_memory.py"))


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
@pytest.mark.parametrize("level", normexp.show_config()["levels"])
def test_nothing_beyond_the_ends_is_touched(level: str) -> None:
    result = python(GUARDED, NORMEXP_CPU=level)
    assert result.returncode == 0, f"ended by signal {-result.returncode}: {result.stderr}"
    assert result.stdout == "nothing beyond the ends was touched\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
def test_the_ends_are_guarded() -> None:
    result = python(GUARDED, "stray")
    assert result.returncode != 0
    assert not result.stdout


@pytest.mark.parametrize("kind", sorted(DTYPES))
@pytest.mark.parametrize("offset", [0, 1, 7])
@pytest.mark.parametrize("shape", [(20_000, 257), (3001, 1001), (20, 128_257), (1, 4_000_037), (2**19 + 5, 10)])
def test_large_results_are_those_of_small_ones(kind: str, offset: int, shape: tuple[int, int]) -> None:
    """Results too large for the caches take another way to memory: the same bits, and not one place beside it."""
    dtype, size = DTYPES[kind], shape[0] * shape[1]
    x = (np.random.default_rng(1).standard_normal(shape, dtype=np.float32) * 5).astype(dtype)
    memory = np.full(size + 64, -77, dtype=dtype)
    out = memory[offset : offset + size].reshape(shape)
    for name in ("softmax", "log_softmax"):
        FUNCTIONS[name](x, out=out)
        few = np.unique(np.linspace(0, shape[0] - 1, 12).astype(int))
        for i in few:
            assert_same_bits(out[i], FUNCTIONS[name](x[i, ::-1][::-1]), (name, i))
        assert (memory[:offset] == memory.dtype.type(-77)).all()
        assert (memory[offset + size :] == memory.dtype.type(-77)).all()


def test_results_stay_after_the_input_is_gone() -> None:
    results = [normexp.softmax(np.full((2, 100), float(i))) for i in range(50)]
    for result in results:
        assert (result == 0.01).all()
