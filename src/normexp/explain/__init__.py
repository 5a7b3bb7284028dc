"""One row of logits explained: ``normexp explain``, and the function `explain` for notebooks.

`row` reads what is given; `formats` rounds; `routes` computes, as people write it, and `exact` exactly; `cells` sets
the one beside the other, `explanation` puts all together, `findings` says it. `terminal`, `notebook` and `plot` show
it. `command` reads the arguments. Importing this module imports none of what it needs: that comes when there is a row.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final, SupportsIndex

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from normexp.explain.explanation import Explanation

_NEEDED: Final = ("flint", "rich", "ml_dtypes")


def explain(
    x: ArrayLike,
    /,
    *,
    target: SupportsIndex | None = None,
    dtype: str | None = None,
    temperature: float = 1.0,
) -> Explanation:
    """Explain one row of logits: each stage of three ways to the softmax, beside the exact values.

    The naive way is exp(x) / sum exp(x), the shifted one the same of x - max, and the log way is
    log p = x - max - log sum exp(x - max). Every operation is rounded to the format, exp and log correctly, and
    sums are taken from left to right. normexp's own results stand beside them.

    Parameters
    ----------
    x : array_like, shape (K,)
        The logits; -inf masks a class.
    target : int, optional
        The class that a loss and its gradient p - y are taken against.
    dtype : {"float16", "bfloat16", "float32", "float64"}, optional
        The format, to which the logits are rounded. By default that of `x`, and float32 for lists and integers.
    temperature : float
        T, by which the logits are divided; rounded to the format as well.

    Returns
    -------
    Explanation
        Prints as text, and shows itself in a notebook; `document()` has all of it as numbers.

    Raises
    ------
    ValueError
        If there is no row in `x`, or the target, the dtype or the temperature does not fit it.
    ImportError
        If a package of the extra "explain" is missing.

    Notes
    -----
    Exact values are enclosed in ball arithmetic, as in `normexp.verify`; errors are in ULP, units in the last place of
    the exact value.

    Examples
    --------
    >>> from normexp.explain import explain
    >>> confident = explain([20, 0], target=0)
    >>> loss = confident.stage("log_p").lines[-1]
    >>> loss.exact, loss.cells["log"].state, float(f"{loss.cells['normexp'].value:.4g}")
    ('2.061e-09', 'zero', 2.061e-09)
    >>> print(confident.findings[-1].text)
    p - y at class 0 (naive, shifted, log): it is -2.061e-09, but p rounds to 1 and p - 1 to 0: the gradient is dead.
    """
    if absent := missing():
        raise ImportError(f'explain needs {", ".join(absent)}: pip install "normexp[explain]"')
    from normexp.explain.explanation import explanation
    from normexp.explain.row import checked

    return explanation(*checked(x, dtype, temperature, target))


def missing(*also: str) -> list[str]:
    """Return which packages are missing, of those that are needed always and of some others."""
    return [name for name in (*_NEEDED, *also) if importlib.util.find_spec(name) is None]


from normexp.explain.command import add_arguments as add_arguments  # noqa: E402 - it needs the function
from normexp.explain.command import as_values as as_values  # noqa: E402
from normexp.explain.command import main as main  # noqa: E402
