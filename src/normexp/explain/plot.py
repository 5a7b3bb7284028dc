"""An explanation as a picture: a cell for each number, coloured by its state, over bars of p and of p - y."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from normexp._figure import content
from normexp.explain.cells import Cell
from normexp.explain.explanation import Explanation
from normexp.explain.formats import STATES
from normexp.explain.words import say

# By state; told apart by everyone (Paul Tol's light scheme), and each has words in the cell as well.
_COLORS: Final = dict(zip(STATES, ("#eeeeee", "#99ddff", "#eedd88", "#ee8866", "#ffaabb"), strict=True))
_BLUE, _RED = "#4477aa", "#cc3311"
_SHORT: Final = {"scale": "x / T", "p": "p", "log_p": "log p", "grad": "p - y"}


def draw(of: Explanation, kind: str) -> bytes:
    """Draw one explanation.

    Parameters
    ----------
    of : Explanation
        What to draw.
    kind : {"png", "svg"}
        The format.

    Returns
    -------
    bytes
        The content of a file; the same for the same explanation.
    """
    columns = [(stage, route) for stage in of.stages for route in stage.marked]
    height = 0.3 * len(of.shown)
    figure = Figure(figsize=(1.05 * len(columns) + 1.5, height + 4.8), layout="constrained")
    gradient = of.target is not None
    grid = figure.add_gridspec(2, 2 if gradient else 1, height_ratios=(height + 1.6, 2.6))
    cells = figure.add_subplot(grid[0, :])
    for x, (stage, route) in enumerate(columns):
        for y, i in enumerate(of.shown):
            _cell(cells, x, y, stage.line(i).cells[route])
    heads = ["\n".join((_SHORT.get(stage.key, stage.title), *route.split(" "))) for stage, route in columns]
    cells.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(of.shown) - 0.5, -0.5), ylabel="class: logit")
    cells.set_xticks(range(len(columns)), heads, fontsize="small")
    cells.set_yticks(range(len(of.shown)), [f"{i}: {say(float(of.x[i]))}" for i in of.shown], fontsize="small")
    cells.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    cells.spines[:].set_visible(False)
    patches = [Patch(facecolor=color, edgecolor="#777777", label=state) for state, color in _COLORS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    target = "" if of.target is None else f", target {of.target}"
    shown = "" if len(of.shown) == of.x.size else f"; {len(of.shown)} of them shown"
    figure.suptitle(f"{of.x.size:,} classes in {of.form.name}, temperature {say(of.temperature)}{target}{shown}")
    _bars(figure.add_subplot(grid[1, 0]), of, "p")
    if gradient:
        _bars(figure.add_subplot(grid[1, 1]), of, "grad")
    return content(figure, kind)


def _cell(axes: Axes, x: int, y: int, cell: Cell) -> None:
    axes.add_patch(_box(x, y, _COLORS[cell.state]))
    axes.text(x, y, f"{say(cell.value)} {cell.mark}".strip(), ha="center", va="center", fontsize="small")


def _box(x: int, y: int, color: str) -> Patch:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white")


def _bars(axes: Axes, of: Explanation, key: str) -> None:
    """Draw the exact values; where a route's number is no number or dead, a cross on the axis says so."""
    lines = [of.stage(key).line(i) for i in of.shown]
    heights = [float(line.value) for line in lines]
    axes.bar(range(len(lines)), np.nan_to_num(heights), color=_BLUE, label="exact")
    crosses = [x for x, line in enumerate(lines) if any(cell.mark in ("O", "N", "D") for cell in line.cells.values())]
    axes.plot(crosses, [0] * len(crosses), "x", color=_RED, clip_on=False, label="NaN or dead on some route")
    axes.axhline(0, color="#777777", linewidth=0.8)
    axes.set_xticks(range(len(lines)), [str(i) for i in of.shown], fontsize="small")
    axes.set(xlabel="class", title={"p": "p = softmax(x / T)", "grad": "gradient p - y"}[key])
    axes.set_ylim((0, 1.05) if key == "p" else (-1.05, 1.05))
    if crosses:
        axes.legend(frameon=False, fontsize="small")
