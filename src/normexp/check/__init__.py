"""Find misuse of softmax and cross-entropy in code, without running it: ``normexp check``.

`files` finds the files, `source` and `notebook` parse them, `analysis` says what kind of value meets what, `rules` hold
what is wrong with it, `run` makes a `report` of it, `formats` write that, and `fixing` puts fixes into the files.
Importing this module imports none of them: that comes when there is something to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING

from normexp.check.command import add_arguments as add_arguments
from normexp.check.command import main as main

if TYPE_CHECKING:
    from normexp.check.report import Report


def check(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    r"""Find misuse of softmax and cross-entropy in Python files and notebooks, without running or importing them.

    Parameters
    ----------
    paths : path or sequence of paths
        Files and folders; what the files of one call import from one another is followed.
    select : sequence of str, optional
        Codes, beginnings of codes or names of the rules to apply; all by default.
    ignore : sequence of str, optional
        Those of the rules not to apply.

    Returns
    -------
    Report
        The findings, each with the path its value took, and notes on what could not be checked.

    Raises
    ------
    ValueError
        A path leads nowhere, a rule is unknown, or the configuration in pyproject.toml is wrong.

    Examples
    --------
    >>> import os, tempfile
    >>> from normexp.check import check
    >>> code = "from torch.nn import functional as F\nloss = F.cross_entropy(F.softmax(x, 1), y)\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "train.py")
    ...     with open(path, "w") as file:
    ...         _ = file.write(code)
    ...     [finding.name for finding in check(path).findings]
    ['double-softmax']
    """
    from normexp.check.config import configured
    from normexp.check.run import run

    given = [fspath(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
    return run(given, configured(given, select, ignore))
