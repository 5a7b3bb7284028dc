"""The families are what their names say, and the same in every run."""

import math

import ml_dtypes
import numpy as np
import pytest

from normexp.verify import oracle
from normexp.verify.cases import DTYPES, FAMILIES

BY_NAME = {family.name: family for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_same_rows_in_every_run(family):
    dtype = family.dtypes[0]
    for one, other in zip(family.cases(dtype), family.cases(dtype), strict=True):
        assert one.x.tobytes() == other.x.tobytes()
        assert one.temperature == other.temperature
        assert one.x.dtype == DTYPES[dtype]
        assert one.x.ndim == 2
        # A row of nothing but -inf would be a special value and no hard input.
        assert np.isfinite(one.x.max(axis=1)).all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_draws_differ_where_there_is_chance(family):
    """The same shapes in each draw, and the same rows when drawn again."""
    dtype = family.dtypes[0]
    first, second, again = family.cases(dtype), family.cases(dtype, 1), family.cases(dtype, 1)
    assert [case.x.shape for case in first] == [case.x.shape for case in second]
    assert [case.x.tobytes() for case in second] == [case.x.tobytes() for case in again]
    differs = any(one.x.tobytes() != other.x.tobytes() for one, other in zip(first, second, strict=True))
    assert differs == (family.name != "subnormal results")


def test_layouts_are_not_contiguous():
    cases = BY_NAME["layouts"].cases("float32")
    assert not any(case.x.flags.c_contiguous for case in cases)
    assert any(min(case.x.strides) < 0 for case in cases)
    assert any(0 in case.x.strides for case in cases)


def test_names_are_unique():
    assert len(BY_NAME) == len(FAMILIES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_results_are_subnormal(dtype):
    info = ml_dtypes.finfo(DTYPES[dtype])
    case = BY_NAME["subnormal results"].cases(dtype)[0]
    p = np.array([float(v) for v in oracle.softmax(case.x[0])])
    assert ((p > 0) & (p < float(info.smallest_normal))).sum() > 50


@pytest.mark.parametrize("dtype", DTYPES)
def test_logsumexp_near_zero_is_near_zero(dtype):
    eps = float(ml_dtypes.finfo(DTYPES[dtype]).eps)
    for case in BY_NAME["logsumexp near 0"].cases(dtype):
        for row in case.x:
            assert abs(float(oracle.logsumexp(row))) < 40 * eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_clear_winner_has_a_log_softmax_near_zero(dtype):
    case = BY_NAME["one clear winner"].cases(dtype)[0]
    values = [-float(oracle.log_softmax(row, positions=[0])[0]) for row in case.x]
    assert min(values) < float(ml_dtypes.finfo(DTYPES[dtype]).smallest_normal)
    assert max(values) > 0.1


def test_labels_are_of_every_kind():
    """Likely and unlikely ones, over the rows of one case and over cases of one row."""
    for name in ("spread x10", "every length to 130"):
        ranks = set()
        for case in BY_NAME[name].cases("float32"):
            assert case.labels.shape == case.x.shape[:1]
            for row, label in zip(case.x, case.labels.tolist(), strict=True):
                rank = int((row > row[label]).sum())
                ranks.add("first" if rank == 0 else "last" if rank == row.size - 1 else "between")
        assert ranks == {"first", "last", "between"}


def test_every_length():
    assert {case.x.shape[1] for case in BY_NAME["every length to 130"].cases("float32")} == set(range(1, 131))


def test_masks_leave_something():
    for case in BY_NAME["masked by -inf"].cases("float16"):
        share = np.isneginf(case.x).mean()
        assert 0.2 < share < 0.6


def test_long_rows_are_measured_at_their_extremes():
    case = BY_NAME["rows of 100,000"].cases("float32")[0]
    positions = case.positions
    assert positions is not None
    assert len(positions) < 500
    assert {0, 99_999, int(case.x.argmax()), int(case.x.argmin())} <= set(positions)
    assert BY_NAME["spread x1"].cases("float32")[0].positions is None


def test_largest_numbers_overflow_in_their_own_format():
    case = BY_NAME["largest numbers"].cases("float32")[1]
    with np.errstate(over="ignore"):
        assert np.ptp(case.x[0]) == math.inf
