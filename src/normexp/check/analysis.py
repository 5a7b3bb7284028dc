"""The inference: stands empty until it is merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from normexp.check.finding import Finding
from normexp.check.source import Source


def analyse(sources: Sequence[Source]) -> Iterator[Finding]:
    """Yield the findings in the sources of one project."""
    yield from ()
