"""From a large input that shows a fault to a small one."""

import numpy as np

from normexp.verify import shrink
from normexp.verify.cases import Case

LARGE = Case(np.random.default_rng(0).normal(size=(12, 100)).astype(np.float32) * 5)


def test_rows_columns_and_digits_that_do_not_matter_go():
    def fails(case):
        return bool((case.x > 3).any() and (case.x < -3).any())

    found = shrink.smallest(LARGE, fails)
    assert fails(found)
    assert found.x.size <= 4  # the two numbers, and where they stand in different rows their corners
    assert found.x.dtype == np.float32
    assert np.array_equal(found.x, np.round(found.x))


def test_the_smallest_of_one_number():
    found = shrink.smallest(LARGE, lambda case: bool((case.x > 3).any()))
    assert found.x.shape == (1, 1)


def test_labels_stay_with_their_logits():
    logit = float(LARGE.x[7, LARGE.labels[7]])

    def fails(case):
        return logit in case.x[np.arange(len(case.x)), case.labels]

    found = shrink.smallest(Case(LARGE.x, target=LARGE.labels), fails)
    assert fails(found)
    assert found.x.shape == (1, 1)
    assert found.labels.tolist() == [0]


def test_a_label_moves_up_when_columns_before_it_go():
    case = Case(np.array([[0.0, 1.0, 2.0, 3.0]], np.float32), target=np.array([2]))
    found = shrink.smallest(case, lambda one: one.x.shape[1] >= 2 and one.x[0, one.labels[0]] == 2.0)
    assert found.x.shape == (1, 2)
    assert found.x[0, found.labels[0]] == 2.0


def test_the_temperature_stays():
    case = Case(LARGE.x, 0.7)
    assert shrink.smallest(case, lambda one: one.temperature == 0.7).temperature == 0.7


def test_infinities_and_nan_stay():
    case = Case(np.array([[np.inf, 1.25, -np.inf, np.nan]], np.float64))

    def fails(one):
        return bool(np.isposinf(one.x).any() and np.isneginf(one.x).any() and np.isnan(one.x).any())

    found = shrink.smallest(case, fails)
    assert fails(found)
    assert found.x.shape == (1, 3)


def test_what_fails_as_a_whole_only_stays_whole():
    def fails(case):
        return case.x.tobytes() == LARGE.x.tobytes()

    assert shrink.smallest(LARGE, fails).x.tobytes() == LARGE.x.tobytes()


def test_numbers_are_not_rounded_to_infinity():
    largest = np.finfo(np.float16).max
    case = Case(np.array([[largest, -largest]], np.float16))
    found = shrink.smallest(case, lambda one: bool(np.abs(one.x).max() > 60000))
    assert np.isfinite(found.x).all()


def test_it_stops_in_time(monkeypatch):
    """When no time is left, what there is so far is given back."""
    monkeypatch.setattr(shrink, "_SECONDS", 0.0)
    tried = []
    assert shrink.smallest(LARGE, lambda case: bool(tried.append(case)) or True).x.shape == LARGE.x.shape
    assert tried == []
