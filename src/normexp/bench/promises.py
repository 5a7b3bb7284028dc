"""What normexp promises, held against the very cell that is timed: the accuracy contract, and the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

import normexp
from normexp.bench import levels
from normexp.bench.accuracy import Accuracy
from normexp.bench.cell import AXIS, Array, Cell, Contender, MissingError
from normexp.bench.peers.ours import ours

# Rows enough for a second's work, the processes of the other levels included: other layouts and levels are not tried
# on gigabytes.
_ELEMENTS: Final = 1 << 18


@dataclass
class Promises:
    """What was tried in a cell, and what came of it."""

    max_ulp: float | None = None
    """normexp's largest error; None where it was not measured."""
    bound: float | None = None
    """What it may be, in units in the last place."""
    same_bits: list[str] = field(default_factory=list)
    """The ways that gave the same bits."""
    broken: list[str] = field(default_factory=list)
    """What did not hold, in words."""
    unchecked: dict[str, str] = field(default_factory=dict)
    """What could not be tried, and why."""

    def compare(self, name: str, got: Array, expected: Array) -> None:
        """Add a way to compute the same values."""
        if differing := _differing(got, expected):
            self.broken.append(f"other bits, {name}: {differing} of {got.size} values")
        else:
            self.same_bits.append(name)

    @property
    def line(self) -> str:
        """Say it."""
        said = [f"accuracy {self.max_ulp:.2f} ULP of {self.bound:g} promised"] if self.max_ulp is not None else []
        said += [f"same bits: {', '.join(self.same_bits)}"] if self.same_bits else []
        said += [f"{what} not checked: {why}" for what, why in self.unchecked.items()]
        said += [f"BROKEN: {one}" for one in self.broken]
        return "; ".join(said)


def check(cell: Cell, max_ulp: float | None, why_not: str = "") -> Promises:
    """Hold normexp to its word.

    Parameters
    ----------
    cell : Cell
        What was timed.
    max_ulp : float or None
        normexp's largest error there, if it was measured; if not, it is on fewer rows, where they can be.
    why_not : str
        Why it was not.
    """
    sample = cell.of_rows(cell.chosen(_ELEMENTS))
    promises = Promises()
    _hold_accuracy(promises, sample, max_ulp, why_not)
    for name, got, expected in _trials(cell, sample):
        promises.compare(name, got, expected)
    for level in levels.others():
        try:
            promises.compare(level, levels.at_level(sample, level), _result(sample))
        except levels.LevelError as error:
            promises.unchecked[level] = str(error)
    return promises


def _hold_accuracy(promises: Promises, sample: Cell, max_ulp: float | None, why_not: str) -> None:
    try:
        from normexp.verify.contract import BOUNDS

        if max_ulp is None:
            max_ulp = Accuracy(sample).max_ulp(_result(sample))
    except (ImportError, MissingError):
        promises.unchecked["accuracy"] = why_not.removeprefix("not measured: ")
        return
    promises.max_ulp, promises.bound = max_ulp, BOUNDS[sample.x.dtype.name]
    if not max_ulp <= promises.bound:
        promises.broken.append(f"an error of {max_ulp:.3g} ULP, of {promises.bound:g} promised")


def _trials(cell: Cell, sample: Cell) -> Iterator[tuple[str, Array, Array]]:
    """Yield ways to compute the same values here: their name, what they gave, and what they should give."""
    expected = _result(cell)
    yield "fresh", _result(cell), expected
    for one in ours(cell):
        if (one.name, one.output) == ("normexp", "out="):
            yield "out=", result_of(one), expected
    try:
        for threads in dict.fromkeys((1, cell.threads)):
            normexp.set_num_threads(threads)
            yield f"{threads} thread{'s' * (threads > 1)}", _result(cell), expected
    finally:
        normexp.set_num_threads(cell.threads)
    of_sample = _result(sample)
    if cell.target is None and (sample.rows < cell.rows or cell.x.ndim > sample.x.ndim):
        rows = np.moveaxis(expected, AXIS, -1) if cell.is_map else expected
        yield "rows apart", of_sample, rows[cell.chosen(_ELEMENTS)]
    for name, lay in _LAYOUTS.items():
        yield name, _result(replace(sample, x=lay(sample.x))), of_sample


def _transposed(x: Array) -> Array:
    return np.asfortranarray(x)


def _unaligned(x: Array) -> Array:
    memory = np.empty(x.size + 1, x.dtype)[1:].reshape(x.shape)
    memory[...] = x
    return memory


def _strided(x: Array) -> Array:
    memory = np.zeros((x.shape[0], 2 * x.shape[1]), x.dtype)[:, ::2]
    memory[...] = x
    return memory


_LAYOUTS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "transposed": _transposed,
    "strided": _strided,
    "unaligned": _unaligned,
}


def _result(cell: Cell) -> Array:
    return result_of(ours(cell)[0])


def result_of(contender: Contender) -> Array:
    """Return the values that a contender computes."""
    assert contender.result is not None, contender.name
    with contender.scope():
        return contender.result()


def _differing(got: Array, expected: Array) -> int:
    """Count the values of other bits; which NaN a NaN is, nobody promises."""
    assert got.shape == expected.shape
    unsigned = f"u{got.itemsize}"
    other = np.ascontiguousarray(got).view(unsigned) != np.ascontiguousarray(expected).view(unsigned)
    return int((other & ~(np.isnan(got) & np.isnan(expected))).sum()) if other.any() else 0
