"""The reliability diagram: how often a model is right where it is so sure."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from normexp._figure import content
from normexp.eval.report import Report

_BLUE, _RED, _GREY = "#4477aa", "#cc3311", "#777777"  # told apart by everyone (Paul Tol's schemes)


def reliability(report: Report, kind: str) -> bytes:
    """Draw accuracy by confidence, and how many rows have which confidence.

    Parameters
    ----------
    report : Report
        What to draw.
    kind : {"png", "svg"}
        The format.

    Returns
    -------
    bytes
        The content of a file; the same for the same figures.
    """
    sums = report.sums
    bins = len(sums.bin_rows)
    edges = np.arange(bins + 1) / bins
    filled = sums.bin_rows > 0
    counts = sums.bin_rows[filled]
    accuracy, confidence = sums.bin_right[filled] / counts, sums.bin_confidence[filled] / counts
    left = edges[:-1][filled]

    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(left, accuracy, 1 / bins, align="edge", color=_BLUE, edgecolor="white", label="accuracy")
    upper.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="as sure as right")
    upper.vlines(confidence, accuracy, confidence, color=_RED, linewidth=2)
    upper.plot(confidence, confidence, "o", color=_RED, markersize=4, label="mean confidence")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.set_title(
        f"{sums.rows:,.0f} rows, {report.inputs.classes:,} classes\n"
        f"expected calibration error {sums.calibration_error:.4f} ({bins} bins)",
        fontsize="medium",
    )
    upper.legend(loc="upper left", frameon=False)
    lower.bar(edges[:-1], sums.bin_rows / sums.rows, 1 / bins, align="edge", color=_GREY, edgecolor="white")
    lower.yaxis.set_major_formatter(PercentFormatter(1))
    lower.set(xlabel="confidence (largest probability)", ylabel="rows")

    return content(figure, kind)
