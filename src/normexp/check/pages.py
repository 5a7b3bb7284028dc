"""The pages of the rules: `python -m normexp.check.pages docs/rules` writes them, `--explain` prints one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from normexp.check.rule import Rule
from normexp.check.rules import RULES

_FIXES: Final = {
    "none": "None: what is right here depends on what was meant.",
    "safe": "`--fix` repairs what it can; the program means the same afterwards, but for rounding.",
    "unsafe": "`--fix --unsafe-fixes` repairs what it can. It changes what the program computes: read the change.",
}

# The sections of docs/understanding-softmax.md that tell what a rule is about.
_TOLD: Final = {
    "double-softmax": "8. One softmax too many",
    "log-of-softmax": "6. The logarithm",
    "log-sum-exp": "5. The shift",
    "mask-fill": "9. What to write",
    "naive-exp": "3. Too large: overflow",
    "nll-on-probs": "7. The loss and its gradient",
}


def page(rule: Rule) -> str:
    """Write the page of a rule, in Markdown."""
    references = "\n".join(f"- [{title}]({address})" for title, address in (*_told(rule), *rule.references))
    return f"""\
# {rule.code} {rule.name}

Severity: {rule.severity}. {rule.summary}

## Why

{rule.why}
## Wrong

```python
{rule.bad}```

## Right

```python
{rule.good}```

## Fix

{_FIXES[rule.fixes]}

To allow one expression: `# normexp: ignore[{rule.name}]` on its first or its last line.

## See also

{references}
"""


def _told(rule: Rule) -> Iterator[tuple[str, str]]:
    if section := _TOLD.get(rule.name):
        anchor = re.sub(r"[^a-z0-9 ]", "", section.lower()).replace(" ", "-")
        yield f"Understanding softmax, {section}", f"../understanding-softmax.md#{anchor}"


def table() -> str:
    """Write the table of all rules, in Markdown, with links to the pages beside it."""
    rows = [
        f"| [{rule.code}](rules/{rule.name}.md) | {rule.name} | {rule.severity} | {rule.summary}"
        f" | {'' if rule.fixes == 'none' else rule.fixes} |"
        for rule in RULES
    ]
    return "\n".join(["| code | name | severity | | fix |", "|---|---|---|---|---|", *rows]) + "\n"


def write(folder: Path) -> None:
    """Write all pages into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for rule in RULES:
        folder.joinpath(f"{rule.name}.md").write_text(page(rule), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m normexp.check.pages FOLDER")
    write(Path(sys.argv[1]))
