"""Rows made to err as far as they can: for each bound of docs/accuracy.md the worst that a search has found."""

from __future__ import annotations

import pytest
from support import BOUND, DTYPES
from test_accuracy import error, literal

broken = pytest.mark.xfail(reason="the promise is broken: docs/accuracy.md, What does not hold")

ROWS = [
    # With t in one word, exp was wrong by +0.73 units of the first and by -0.71 of the others: 1.93 units.
    ("softmax", "float32", [-27.37713623046875, *[-5.852090835571289] * 31]),
    # A result near 2^-126: 1.97 units, while its small products were rounded as subnormal numbers.
    ("softmax", "float32", [16.053390502929688, 15.55127239227295, -70.34844207763672]),
    # Each number is log(1 - what the sum of exp is so far), rounded down: what is left shrinks by 2^-20, or 2^-49.
    ("logsumexp", "float32", [-0.7553, -0.6346323490142822, -19.112234115600586, -32.48897171020508]),
    ("logsumexp", "float64", [-0.7553, -0.6346323266349698, -38.37936156119433]),
    ("logsumexp", "float32", [-0.7553, -0.6346323490142822, -19.112234115600586, -32.48897171020508, -46.87669754028]),
    pytest.param(
        "logsumexp", "float64", [-0.7553, -0.6346323266349698, -38.37936156119433, -71.3349136464326], marks=broken
    ),
]


@pytest.mark.parametrize(("name", "kind", "row"), ROWS)
def test_within_the_bound(name: str, kind: str, row: list[float]) -> None:
    (row_of_kind,) = literal(DTYPES[kind], row)
    assert error(name, row_of_kind) <= BOUND[kind]


def test_a_rest_near_the_last_place() -> None:
    """1.37 units while log(1 + rest) left the product of two second words out; 0.73 are derived."""
    (row,) = literal(DTYPES["float64"], [0.0, -37.42907793550174])
    assert error("log_softmax", row) <= 0.75
