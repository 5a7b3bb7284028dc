"""Fixtures of the losses' tests."""

from __future__ import annotations

import pytest

from losses.refusals import FUNCTIONS


@pytest.fixture(params=FUNCTIONS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each function in turn."""
    return request.param
