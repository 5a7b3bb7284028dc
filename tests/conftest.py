"""Fixtures shared by all tests, and how hypothesis runs here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support import DTYPES, FUNCTIONS, MAPS

import normexp

# Two processes of tests (pytest-xdist) are told the width of a terminal that neither has.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COLUMNS", None)

# No deadline: a first call pays for page faults and for starting threads, which says nothing about the result.
# Derandomized: a test that passed is the same test tomorrow; `--hypothesis-profile=search` looks further.
settings.register_profile(
    "suite", deadline=None, derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=5000, suppress_health_check=list(HealthCheck))
settings.load_profile("suite")


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Each supported dtype in turn."""
    return DTYPES[request.param]


@pytest.fixture(params=FUNCTIONS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each function in turn."""
    return request.param


@pytest.fixture
def function(name: str) -> Callable[..., Any]:
    """The function of that name."""
    return FUNCTIONS[name]


@pytest.fixture(params=MAPS)
def map_name(request: pytest.FixtureRequest) -> str:
    """The name of each function that returns an array like its input."""
    return request.param


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of threads; the number before the test comes back after it."""
    before = normexp.get_num_threads()
    yield normexp.set_num_threads
    normexp.set_num_threads(before)
