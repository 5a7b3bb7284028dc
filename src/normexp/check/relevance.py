"""Which files are worth going through: a look at their text that costs next to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from normexp.check.source import Source

# Each finding has one of these where it stands, in lower case.
_MISUSED: Final = (
    "softmax",
    "cross_entropy",
    "crossentropy",
    "nll_loss",
    "nllloss",
    "kl_div",
    "kld",
    "kullback",
    "bce",
    "binary_cross",
    "masked_fill",
    "logsumexp",
    "exp(",
    "categorical(",
    "bernoulli(",
    "focal",
    "keras.applications",
)
# What builds models or hands them on, or takes a loss that others chose.
_BUILDS: Final = ("nn.", "criterion", "loss_f", "def forward", "linear(", "dense(", "conv2d", "loss(", "model(")
_IMPORT: Final = re.compile(r"^[ \t]*(?:from|import)[ \t]+([\w., \t]+)", re.MULTILINE)


def relevant(sources: Iterable[Source]) -> tuple[list[Source], list[Source]]:
    """Sort out the files of a project.

    Returns
    -------
    checked : list of Source
        Those to go through: where something may be misused, and those that build something and import such a file.
    followed : list of Source
        Those to follow into from others, the first among them.
    """
    misused: set[Source] = set()
    builds: set[Source] = set()
    given = list(sources)
    for source in given:
        text = source.text.lower()
        if any(word in text for word in _MISUSED):
            misused.add(source)
        if any(word in text for word in _BUILDS):
            builds.add(source)
    names = {_module(source.path) for source in misused & builds}
    checked = [source for source in given if source in misused or (source in builds and names & _imported(source))]
    followed = misused | builds | {source for source in given if _is_package(source.path)}  # which hands names on
    return checked, [source for source in given if source in followed]


def _module(path: str) -> str:
    parts = path.replace("\\", "/").split("/")
    return parts[-2] if _is_package(path) and len(parts) > 1 else parts[-1].rpartition(".")[0]


def _is_package(path: str) -> bool:
    return path.endswith("__init__.py")


def _imported(source: Source) -> set[str]:
    return {word for line in _IMPORT.findall(source.text) for word in re.split(r"\W+", line)}
