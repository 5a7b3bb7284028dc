"""A problem with everybody who takes part: set up, timed in turns, checked, reported."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext

from normexp.bench.cell import MissingError, Scope
from normexp.bench.linear import memory
from normexp.bench.linear.exact import Errors, Exact
from normexp.bench.linear.peers import PEERS, UNFUSED, Contender, scope
from normexp.bench.linear.problem import OPERATION, Problem
from normexp.bench.linear.promises import LinearPromises, hold_errors, hold_memory, memory_bound
from normexp.bench.linear.report import LinearReport, LinearRow
from normexp.bench.load import OtherLoad
from normexp.bench.peers import first_line
from normexp.bench.plan import cores
from normexp.bench.timing import MIN_ROUNDS, Ratio, Series, interleave


def _is_slow(series: Series, seconds: float) -> bool:
    # Of less than a second a call, the least number of rounds is worth waiting for.
    return series.expected > 1 and series.expected * MIN_ROUNDS > 2 * seconds


class TimedProblem:
    """The contenders of a problem and their times.

    Parameters
    ----------
    problem : Problem
        What to compute.
    say : callable
        Told what is being done.
    """

    def __init__(self, problem: Problem, say: Callable[[str], None]) -> None:
        self._problem, self._say = problem, say
        self._missing: dict[str, str] = {}
        self._contenders: dict[str, Contender] = {}
        self._series: dict[str, Series] = {}
        # As many as there are cores is what NumPy's products take without being asked.
        self._scope: Scope = nullcontext
        if problem.front == "numpy" and problem.threads != cores():
            self._scope = scope(problem)
        for name, peer in PEERS[problem.front].items():
            say(f"setting up {name}")
            self._set_up(name, peer)
        self._load = OtherLoad()

    def _set_up(self, name: str, peer: Callable[[Problem], Contender]) -> None:
        try:
            with warnings.catch_warnings():
                if name != "normexp":
                    warnings.simplefilter("ignore")  # what peers think of their own insides
                contender = peer(self._problem)
                self._series[name] = Series({"": contender.call}, self._scope)
        except MissingError as error:
            self._missing[name] = str(error)
        # As in `assemble`: their exceptions have no common base; ours are not to be hidden.
        except Exception as error:
            if name == "normexp":
                raise
            self._missing[name] = f"cannot compute this ({first_line(error)})"
        else:
            self._contenders[name] = contender

    def time(self, seconds: float, progress: Callable[[float], None]) -> None:
        """Time all in turns, until the ratios to normexp are steady or the time is used up.

        Whoever would need more than twice the time for the least number of rounds is left out, and the report says so.
        """
        for name in [name for name, one in self._series.items() if name != "normexp" and _is_slow(one, seconds)]:
            taken = self._series.pop(name).expected
            del self._contenders[name]
            self._missing[name] = f"a call takes {taken:.0f} s: needs --seconds {math.ceil(taken * MIN_ROUNDS / 2)}"
        series = list(self._series.values())
        with self._load:
            interleave(series, [(one, self._series["normexp"]) for one in series], seconds, progress)

    @property
    def rounds(self) -> int:
        """How many rounds all have taken part in."""
        return min(len(one.times) for one in self._series.values())

    def checked_report(self) -> LinearReport:
        """Report the times, with everybody's memory and errors, and normexp's promises."""
        missing: dict[str, str] = {}
        promises = LinearPromises()
        peaks = self._peaks(missing)
        errors: dict[str, Errors] = {}
        exact = None
        self._say("exact values")
        try:
            exact = Exact(self._problem)
        except MissingError as error:
            missing["errors"] = promises.unchecked["errors"] = str(error)
        else:
            for name, one in self._contenders.items():  # one after the other: results are as large as the arguments
                with self._scope():
                    errors[name] = exact.errors(one.result())
        if "normexp" in peaks:
            hold_memory(promises, self._problem, self._extra(peaks["normexp"]))
        else:
            promises.unchecked["memory"] = missing.get("memory", missing.get("memory of normexp", ""))
        unfused = UNFUSED[self._problem.front]
        if exact and unfused in errors:
            hold_errors(promises, self._problem, errors["normexp"], errors[unfused], unfused, exact.elements)
        elif exact:
            promises.unchecked["errors"] = f"{unfused}: {self._missing[unfused]}"
        measured = (len(exact.rows), len(exact.classes)) if exact else None
        return self._report(missing, peaks, errors, measured, promises)

    def report(self) -> LinearReport:
        """Report the times alone."""
        return self._report({}, {}, {}, None, None)

    def _peaks(self, missing: dict[str, str]) -> dict[str, int]:
        """Measure everybody's memory; add to what is missing, and why."""
        peaks: dict[str, int] = {}
        try:
            memory.check()
        except MissingError as error:
            missing["memory"] = str(error)
            return peaks
        for name in self._contenders:
            self._say(f"memory of {name}")
            try:
                peaks[name] = memory.peak(name, self._problem, self._series[name].median)
            except MissingError as error:
                missing[f"memory of {name}"] = str(error)
        return peaks

    def _extra(self, peak: int) -> int:
        return max(0, peak - self._problem.gradients_bytes)

    def _report(
        self,
        missing: Mapping[str, str],
        peaks: Mapping[str, int],
        errors: Mapping[str, Errors],
        measured: tuple[int, int] | None,
        promises: LinearPromises | None,
    ) -> LinearReport:
        problem, ours = self._problem, self._series["normexp"]
        rows = []
        for name, series in self._series.items():
            low, high = series.quartiles
            rows.append(
                LinearRow(
                    name=name,
                    output="fresh",
                    us_per_call=series.median * 1e6,
                    us_quartiles=(low * 1e6, high * 1e6),
                    gflop_per_s=problem.operations / series.median / 1e9,
                    rounds=len(series.times),
                    to_normexp=Ratio.of(series.times, ours.times),
                    peak_bytes=peaks.get(name),
                    extra_bytes=self._extra(peaks[name]) if name in peaks else None,
                    errors=errors.get(name),
                )
            )
        return LinearReport(
            op=OPERATION,
            shape=problem.shape,
            dtype=problem.dtype.name,
            title=problem.title,
            rounds=max(row.rounds for row in rows),
            rows=rows,
            missing={**self._missing, **missing},
            logits_bytes=problem.logits_bytes,
            gradients_bytes=problem.gradients_bytes,
            memory_bound_bytes=memory_bound(problem),
            measured=measured,
            other_cores=self._load.cores,
            promises=promises,
        )
