"""What a rule says of itself; its page, its entry in SARIF and `--explain` are made of this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from normexp.check.finding import Severity

# "safe": some findings come with a fix that keeps the meaning; "unsafe": with one that may change it, as a repair must.
Fixes = Literal["none", "safe", "unsafe"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `bad` and `good` are whole programs: the first gives this rule's finding alone, the second none."""

    code: str
    name: str
    severity: Severity
    summary: str
    why: str
    bad: str
    good: str
    references: tuple[tuple[str, str], ...]  # title, address
    fixes: Fixes = "none"
