"""The errors that bench shows: none where there is none, and what was put in where something was."""

import numpy as np
import pytest

pytest.importorskip("flint")

from normexp.bench import accuracy
from normexp.bench.accuracy import Accuracy
from normexp.bench.cell import OPERATIONS, Cell, MissingError


def good(cell):
    """float64 values, good to some 1e-13 of each: half a unit in float32 once rounded, and 1e-5 more."""
    x = cell.x.astype(np.float64)
    d = x - x.max(1, keepdims=True)
    sums = np.exp(d).sum(1, keepdims=True)
    if cell.target is None:
        p = np.exp(d) / sums
        return {"softmax": p, "log_softmax": d - np.log(sums), "logsumexp": (x - d + np.log(sums))[:, 0]}[cell.op]
    chosen = np.expand_dims(cell.target, 1)
    if cell.op == "cross_entropy":
        return np.mean(np.log(sums) - np.take_along_axis(d, chosen, 1))
    p = np.exp(d) / sums
    np.put_along_axis(p, chosen, 0, 1)
    np.put_along_axis(p, chosen, -p.sum(1, keepdims=True), 1)
    return p / cell.target.size


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("shape", [(9, 4), (2, 4, 3, 2), (3, 1)])
def test_rounding_costs_half_a_unit(op, shape):
    cell = Cell.make(op, shape, "float32", threads=1)
    values = np.asarray(good(cell)).astype(np.float32)
    ruler = Accuracy(cell)
    # A row whose log-sum-exp nearly cancels may lose digits in float64 as well, but not all nine that are to spare.
    assert ruler.max_ulp(values) <= 0.5 + 1e-5
    if op != "logsumexp" and shape[1] == 1:
        return  # all values are 1 or 0, which have neighbours of other distances
    values.ravel()[-1:] += 8 * np.spacing(values.ravel()[-1:])
    assert 7 <= ruler.max_ulp(values) <= 9


def test_few_rows_stand_for_all(monkeypatch):
    monkeypatch.setattr(accuracy, "_ELEMENTS", 12)
    cell = Cell.make("cross_entropy_and_grad", (5, 4, 2), "float32", threads=1)
    ruler = Accuracy(cell)
    assert ruler.rows == 3
    assert np.ravel_multi_index(cell.chosen(12), (5, 2)).tolist() == [0, 4, 9]  # the first, the last, and between
    values = good(cell).astype(np.float32)
    values[1, :, 0] = 7  # row 2 is not looked at
    assert ruler.max_ulp(values) <= 0.5 + 1e-5
    values[4, :, 1] = 7
    assert ruler.max_ulp(values) > 1000


def test_a_mean_over_too_many_rows_is_not_measured(monkeypatch):
    monkeypatch.setattr(accuracy, "_ELEMENTS_MEAN", 12)
    with pytest.raises(MissingError, match="not measured: an exact mean over 4 rows takes too long"):
        Accuracy(Cell.make("cross_entropy", (4, 4), "float32", threads=1))
    Accuracy(Cell.make("cross_entropy", (3, 4), "float32", threads=1))


@pytest.mark.parametrize("op", ["softmax", "cross_entropy_and_grad"])
def test_of_a_row_too_long_some_elements_are_measured(op, monkeypatch):
    monkeypatch.setattr(accuracy, "_ELEMENTS", 12)
    cell = Cell.make(op, (2, 34), "float32", threads=1)
    ruler = Accuracy(cell)
    assert ruler.rows == 1
    values = good(cell).astype(np.float32)
    assert ruler.max_ulp(values) <= 0.5 + 1e-5
    values[0, 1] = 7  # every third is looked at
    assert ruler.max_ulp(values) <= 0.5 + 1e-5
    values[0, 33] = 7
    assert ruler.max_ulp(values) > 1000
