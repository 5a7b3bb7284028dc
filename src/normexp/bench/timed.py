"""A cell with everybody who takes part: set up, timed in turns, and reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from normexp.bench import promises
from normexp.bench.accuracy import Accuracy
from normexp.bench.cell import Cell, Contender, MissingError, Output
from normexp.bench.limits import limits
from normexp.bench.load import OtherLoad
from normexp.bench.peers import assemble
from normexp.bench.peers.ours import IN_FLOAT32
from normexp.bench.report import CellReport, Row
from normexp.bench.timing import Ratio, Series, Sum, Times, interleave


@dataclass(frozen=True)
class _Entry:
    """A contender, its times, and those of normexp with the same kind of output."""

    contender: Contender
    times: Times
    ours: Times


class TimedCell:
    """The contenders of a cell and their times.

    Parameters
    ----------
    cell : Cell
        What to compute.
    announce : callable
        Told the name of each peer before it is set up.
    """

    def __init__(self, cell: Cell, announce: Callable[[str], None]) -> None:
        self._cell = cell
        contenders, self._missing = assemble(cell, announce)
        found: list[tuple[Contender, Times]] = []
        for one in (*limits(cell, with_torch="PyTorch" not in self._missing), *contenders):
            parts = [times for other, times in found if other.name in one.sum_of]
            found.append((one, Sum(parts) if parts else Series(one.ways, one.scope)))
        self._found = found
        ours = self._by_output("normexp")
        cheapest = ours.get("out=", ours["fresh"])
        self._entries = [_Entry(one, times, ours.get(one.output, cheapest)) for one, times in found]
        self._load = OtherLoad()

    def _by_output(self, name: str) -> dict[Output, Times]:
        return {one.output: times for one, times in self._found if one.name == name}

    def time(self, seconds: float, progress: Callable[[float], None]) -> None:
        """Time all in turns, until the ratios to normexp are steady or the time is used up."""
        series = [one.times for one in self._entries if isinstance(one.times, Series)]
        with self._load:
            interleave(series, [(one.times, one.ours) for one in self._entries], seconds, progress)

    @property
    def rounds(self) -> int:
        """How many rounds all have taken part in."""
        return min(len(one.times.times) for one in self._entries)

    def checked_report(self) -> CellReport:
        """Report the times, with everybody's errors and normexp's promises."""
        try:
            accuracy = Accuracy(self._cell)
        except MissingError as error:
            return self._report({"max ULP": str(error)}, None, promises.check(self._cell, None, str(error)))
        # One after the other: a result may be as large as the cell.
        errors = [_error(accuracy, one.contender) for one in self._entries]
        ours = [error for one, error in zip(self._entries, errors, strict=True) if one.contender.name == "normexp"]
        worst = max((error for error in ours if error is not None), default=None)
        return self._report({}, errors, promises.check(self._cell, worst), accuracy.rows)

    def report(self) -> CellReport:
        """Report the times alone."""
        return self._report({}, None, None)

    def _report(
        self,
        missing: dict[str, str],
        errors: Sequence[float | None] | None,
        kept: promises.Promises | None,
        measured_rows: int = 0,
    ) -> CellReport:
        cell = self._cell
        limit = next(one.times for one in self._entries if one.contender.name == f"a {cell.limit}")
        in_float32 = self._by_output(IN_FLOAT32)
        rows = [
            _row(one, error, cell.x.size, limit, in_float32)
            for one, error in zip(self._entries, errors or [None] * len(self._entries), strict=True)
        ]
        return CellReport(
            op=cell.op,
            shape=cell.x.shape,
            dtype=cell.x.dtype.name,
            title=cell.title,
            limit=cell.limit,
            is_small=cell.is_small,
            rounds=max(row.rounds for row in rows),
            rows=rows,
            missing={**self._missing, **missing},
            measured_rows=measured_rows,
            other_cores=self._load.cores,
            promises=kept,
        )


def _error(accuracy: Accuracy, contender: Contender) -> float | None:
    return None if contender.result is None else accuracy.max_ulp(promises.result_of(contender))


def _row(entry: _Entry, error: float | None, elements: int, limit: Times, in_float32: dict[Output, Times]) -> Row:
    contender, times = entry.contender, entry.times
    same = in_float32.get(contender.output) if contender.name == "normexp" else None
    low, high = times.quartiles
    per_element = 1e9 / elements
    return Row(
        name=contender.name,
        output=contender.output,
        us_per_call=times.median * 1e6,
        ns_per_element=times.median * per_element,
        ns_quartiles=(low * per_element, high * per_element),
        gb_per_s=contender.moved / times.median / 1e9,
        rounds=len(times.times),
        to_normexp=Ratio.of(times.times, entry.ours.times),
        to_limit=Ratio.of(times.times, limit.times),
        to_float32=None if same is None else Ratio.of(times.times, same.times),
        max_ulp=error,
        note=times.fastest,
    )
