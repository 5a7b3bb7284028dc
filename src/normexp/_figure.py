"""A figure of matplotlib as the content of a file."""

from __future__ import annotations

from io import BytesIO

from matplotlib import rc_context
from matplotlib.figure import Figure


def content(figure: Figure, kind: str) -> bytes:
    """Return the content of a file of a kind, "png" or "svg": the same for the same figure."""
    file = BytesIO()
    with rc_context({"svg.hashsalt": "normexp"}):  # names in the file that do not change from run to run
        figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()
