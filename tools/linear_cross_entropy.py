"""Draw what docs/linear_cross_entropy.md shows, from the files of ``normexp bench --op linear_cross_entropy --json``.

    python tools/linear_cross_entropy.py docs docs/linear_cross_entropy.json [FILE ...]

In the folder given first, the plots of time and memory against rows are written, and the table between the two marks of
linear_cross_entropy.md. Of a shape that several files have, the last one counts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MIB = 2**20
NAME = "linear_cross_entropy"
LEGEND = """\
Median time of forward and backward (over normexp's in the same round, the median of these ratios), and memory: the peak
beside the arguments / the peak beside arguments and gradients, in MiB.
"""
BEGIN, END = "<!-- the bench's figures -->\n", "<!-- end of the bench's figures -->\n"


def problems(files: list[str]) -> list[dict[str, Any]]:
    """The problems of all files, in the order of dtypes, features, classes and rows."""
    found = [problem for file in files for problem in json.loads(Path(file).read_text())["linear"]]
    last = {(problem["dtype"], *problem["shape"]): problem for problem in found}
    order = ("float32", "bfloat16", "float16", "float64")
    return sorted(last.values(), key=lambda one: (order.index(one["dtype"]), one["shape"][1:], one["shape"][0]))


def contenders(found: list[dict[str, Any]]) -> list[str]:
    """Everybody who took part anywhere."""
    return list(dict.fromkeys(row["name"] for problem in found for row in problem["rows"]))


def figures(problem: dict[str, Any], name: str) -> dict[str, Any] | None:
    """One contender's row."""
    return next((row for row in problem["rows"] if row["name"] == name), None)


def in_mib(count: int | None) -> str:
    """Bytes, or that nobody knows how many."""
    return "-" if count is None else f"{count / MIB:,.0f}"


def table(found: list[dict[str, Any]]) -> str:
    """Times, ratios of times, and memory, in Markdown."""
    names = contenders(found)
    lines = [f"| | N x H x V | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for problem in found:
        cells = []
        for name in names:
            row = figures(problem, name)
            if row is None:
                cells.append("-")
                continue
            ratio = "" if name == "normexp" else f" ({row['to_normexp']['median']:.2f})"
            memory = f"{in_mib(row['peak_bytes'])} / {in_mib(row['extra_bytes'])}"
            cells.append(f"{row['us_per_call'] / 1e6:.3f} s{ratio}, {memory}")
        lines.append(f"| {problem['dtype']} | {' x '.join(map(str, problem['shape']))} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def replace_table(page: Path, made: str) -> None:
    """Put the table where the page has one."""
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{page}: has no table between {BEGIN.strip()} and {END.strip()}")
    before, _, rest = text.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{LEGEND}\n{made}\n{END}{rest.partition(END)[2]}")


def draw(found: list[dict[str, Any]], folder: Path) -> None:
    """Write time and memory against rows, of the features and classes that have the most numbers of rows."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = NAME  # the same file for the same data
    from matplotlib import pyplot

    sizes = [tuple(problem["shape"][1:]) for problem in found]
    features, classes = max(sizes, key=sizes.count)
    drawn = [problem for problem in found if problem["shape"][1:] == [features, classes]]
    dtypes = list(dict.fromkeys(problem["dtype"] for problem in drawn))
    for what, key, unit, label in (
        ("time", "us_per_call", 1e6, "seconds, forward and backward"),
        ("memory", "peak_bytes", MIB, "peak, MiB beside the arguments"),
    ):
        figure, (axes,) = pyplot.subplots(
            1, len(dtypes), figsize=(4.5 * len(dtypes), 3.6), sharey=True, squeeze=False, layout="constrained"
        )
        for axis, dtype in zip(axes, dtypes, strict=True):
            group = [problem for problem in drawn if problem["dtype"] == dtype]
            for name in contenders(group):
                known = [(one["shape"][0], row[key]) for one in group if (row := figures(one, name)) and row[key]]
                axis.plot([rows for rows, _ in known], [value / unit for _, value in known], "o-", label=name)
            if what == "memory":
                gradients = [problem["gradients_bytes"] / MIB for problem in group]
                axis.plot([problem["shape"][0] for problem in group], gradients, "k--", label="the gradients")
            axis.set(title=f"{dtype}, H = {features}, V = {classes}", xlabel="rows", xscale="log", yscale="log")
            axis.grid(alpha=0.3)
        axes[0].set_ylabel(label)
        axes[0].legend(frameon=False)
        figure.savefig(folder / f"{NAME}_{what}.svg", metadata={"Date": None})
        pyplot.close(figure)


def main(arguments: list[str]) -> None:
    """Do both."""
    if len(arguments) < 2:
        sys.exit(__doc__)
    folder, found = Path(arguments[0]), problems(arguments[1:])
    if not found:
        sys.exit(f"{', '.join(arguments[1:])}: no {NAME}: write it by normexp bench --front torch --op {NAME} --json")
    replace_table(folder / f"{NAME}.md", table(found))
    draw(found, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
