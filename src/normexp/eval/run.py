"""The run: a first guess of the temperature, a pass over the file, what it comes to."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from normexp._console import console
from normexp._json_file import JsonFile
from normexp._whole_file import WholeFile
from normexp.eval.inputs import Inputs, open_inputs
from normexp.eval.report import Report, document, table
from normexp.eval.stored import BadInputError
from normexp.eval.sums import Sums, evaluate
from normexp.eval.temperature import Expansion, Fit, minimize

# Logits that the first guess is taken from, in bytes: hundreds of rows where there are tens of thousands of classes,
# and few percent of what a pass over a large file costs.
_SAMPLE_BYTES = 32 << 20
# Above this share of log(classes), the loss at the best temperature is that of logits which say next to nothing of the
# labels. The guess is then a temperature at which logits spread by this much, from where a polynomial reaches far.
_UNINFORMED = 0.9
_SPREAD = 0.1


def run(
    logits: str, labels: str | None, ignore_index: int | None, json: JsonFile | None, plot: WholeFile | None, kind: str
) -> None:
    """Evaluate, print, and write.

    Parameters
    ----------
    logits, labels : str or None
        Where they are.
    ignore_index : int or None
        The label of rows that are left out.
    json, plot : JsonFile, WholeFile or None
        Where to write the figures and the reliability diagram; entered already.
    kind : {"png", "svg"}
        Of the diagram.

    Raises
    ------
    BadInputError
        If the files cannot be used; nothing is written then.
    """
    inputs = open_inputs(logits, labels, ignore_index)
    with _progress() as progress:
        sums, fit = measure(inputs, progress)
    report = Report(inputs, sums, fit)
    picture = None
    if plot is not None:
        from normexp.eval.plot import reliability

        picture = reliability(report, kind)
    if json is not None:
        json.write(document(report))
    if plot is not None and picture is not None:
        plot.write_bytes(picture)
    console().print(table(report))


def measure(inputs: Inputs, progress: Progress) -> tuple[Sums, Fit]:
    """Go over the file, once if the first guess is good, and return the sums and the best temperature."""
    passes: list[Sums] = []

    def expand(temperature: float) -> Expansion:
        passes.append(_pass(inputs, temperature, progress))
        return Expansion.of(passes[-1], temperature)

    fit = minimize(expand, _guess(inputs))
    return passes[0], fit


def _guess(inputs: Inputs) -> float:
    logits, labels = inputs.sample(_SAMPLE_BYTES)
    whole = len(logits) == inputs.rows

    def expand(temperature: float) -> Expansion:
        _, sums = evaluate(logits, labels, inputs.ignore_index, temperature)
        return Expansion.of(sums, temperature)

    _, sums = evaluate(logits, labels, inputs.ignore_index, 1.0)
    if sums.rows == 0 or not sums.label_distance > -float("inf"):
        return 1.0
    # A sample without errors says nothing of the few that there may be.
    if sums.label_distance == 0 and not whole:
        return 1.0
    fit = minimize(expand, 1.0)
    if not fit.temperature > 0:
        return 1.0
    if fit.loss < _UNINFORMED * math.log(inputs.classes):
        return fit.temperature
    # 1 / T is near 0, and for the whole file perhaps on the other side of it, where no temperature is.
    spread = math.sqrt(max(expand(fit.temperature).derivatives[2], 0.0))
    return fit.temperature * min(1.0, spread / _SPREAD or 1.0)


def _pass(inputs: Inputs, temperature: float, progress: Progress) -> Sums:
    row_bytes = inputs.classes * inputs.logits.dtype.itemsize
    task = progress.add_task(inputs.logits.name, total=inputs.rows * row_bytes)

    def parts() -> Iterator[Sums]:
        for first, logits, labels in inputs.blocks():
            bad, sums = evaluate(logits, labels, inputs.ignore_index, temperature)
            if bad >= 0:
                raise inputs.bad_row(first + bad, logits[bad])
            yield sums
            progress.advance(task, len(logits) * row_bytes)

    total = Sums.total(parts())
    if total.rows == 0:
        raise BadInputError(f"{inputs.labels.name}: all {inputs.rows} rows are to be ignored; nothing is left")
    return total


def _progress() -> Progress:
    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
