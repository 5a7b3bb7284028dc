"""What an evaluation says, in a table and in JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

import normexp
from normexp.eval.inputs import Inputs
from normexp.eval.stored import Stored
from normexp.eval.sums import Sums
from normexp.eval.temperature import Fit


@dataclass(frozen=True)
class Report:
    """All figures, and what they are of."""

    inputs: Inputs
    sums: Sums
    fit: Fit

    @property
    def ignored(self) -> int:
        """Rows that were left out."""
        return self.inputs.rows - int(self.sums.rows)


def table(report: Report) -> Table:
    """Lay the figures out for the terminal."""
    inputs, sums, fit = report.inputs, report.sums, report.fit
    title = Text(f"{_what(inputs.logits)}\n{_what(inputs.labels)}")  # brackets in a name are no markup
    grid = Table(title=title, title_justify="left", title_style="none", show_header=False)
    grid.add_column()
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    rows = f"{report.ignored:,} more were ignored" if report.ignored else ""
    bins = len(sums.bin_rows)
    sign = {"at most": "<= ", "at least": ">= ", None: ""}[fit.bound]
    why = "divides the logits"
    if fit.bound is not None:
        why = "the loss still falls there"
    elif math.isnan(fit.temperature):
        why = "a label is impossible, at any temperature"
    for name, value, note in (
        ("rows", f"{sums.rows:,.0f}", rows),
        ("classes", f"{inputs.classes:,}", ""),
        ("cross-entropy", _number(sums.cross_entropy), "nats a row"),
        ("perplexity", _number(sums.perplexity), "exp of it"),
        ("top-1 accuracy", f"{sums.top1 / sums.rows:.2%}", ""),
        ("top-5 accuracy", f"{sums.top5 / sums.rows:.2%}", ""),
        ("mean entropy", _number(sums.entropy / sums.rows), "nats a row"),
        ("Brier score", _number(sums.brier / sums.rows), "squared error, summed over the classes"),
        ("calibration error", _number(sums.calibration_error), f"expected (ECE), {bins} bins of equal width"),
        ("best temperature", sign + _number(fit.temperature), why),
        ("cross-entropy there", ("<= " if fit.bound else "") + _number(fit.loss), "nats a row"),
    ):
        grid.add_row(name, value, note)
    return grid


def document(report: Report) -> dict[str, Any]:
    """Gather the figures for the JSON file."""
    inputs, sums, fit = report.inputs, report.sums, report.fit
    bins = len(sums.bin_rows)
    return {
        "normexp": normexp.__version__,
        "logits": _file(inputs.logits),
        "labels": _file(inputs.labels),
        "ignore_index": inputs.ignore_index,
        "rows": int(sums.rows),
        "ignored": report.ignored,
        "classes": inputs.classes,
        "cross_entropy": sums.cross_entropy,
        "perplexity": sums.perplexity,
        "top1_accuracy": sums.top1 / sums.rows,
        "top5_accuracy": sums.top5 / sums.rows,
        "mean_entropy": sums.entropy / sums.rows,
        "brier_score": sums.brier / sums.rows,
        "expected_calibration_error": sums.calibration_error,
        "temperature": fit.temperature,
        "temperature_bound": fit.bound,
        "cross_entropy_at_temperature": fit.loss,
        "bins": [
            {
                "above": i / bins,
                "up_to": (i + 1) / bins,
                "rows": int(rows),
                "confidence": float(confidence / rows) if rows else None,
                "accuracy": float(right / rows) if rows else None,
            }
            for i, (rows, confidence, right) in enumerate(
                zip(sums.bin_rows, sums.bin_confidence, sums.bin_right, strict=True)
            )
        ],
    }


def _what(array: Stored) -> str:
    return f"{array.name}: {' x '.join(f'{size:,}' for size in array.shape)} {array.dtype}"


def _file(array: Stored) -> dict[str, Any]:
    return {"name": array.name, "shape": list(array.shape), "dtype": str(array.dtype)}


def _number(value: float) -> str:
    return f"{value:.6g}"
