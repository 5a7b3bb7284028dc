"""The proof, ``normexp verify``: the article's claims, a conformance table and a real case against exact values.

`oracle` gives the exact values, `measure` the distance to them, `contract` what is allowed; `claims`, `cases`,
`conformance` and `digits` are what is tried, `peers` on whom; `report` and `page` say it. `subject`, `conform` and
`shrink` try the same on anybody's function: ``--impl``, and `assert_conforms` in tests. `command` reads the arguments.
Importing this module imports none of what it needs: that comes when there is something to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from normexp.verify.command import add_arguments as add_arguments
from normexp.verify.command import main as main

_FINDINGS_IN_ASSERTION: Final = 5


def assert_conforms(
    function: Callable[..., Any],
    op: str = "softmax",
    *,
    arrays: str | None = None,
    device: str | None = None,
    dtypes: Sequence[str] | None = None,
    max_ulp: float | None = None,
) -> None:
    """Hold a function against exact arithmetic on all hard inputs and special values, in a test of your own.

    Parameters
    ----------
    function : callable
        ``function(x)`` for rows on the last axis of a two-dimensional array, of shape (N, C). A parameter `axis` or
        `dim` is given as -1, one called `temperature` is tried, too. For losses ``function(logits, labels)``: a
        loss for each row (N,) or their mean; or the gradient (N, C) of the sum, unless PyTorch or JAX is to
        differentiate.
    op : {"softmax", "log_softmax", "logsumexp", "softmin", "cross_entropy", "cross_entropy_grad"}
        What it computes.
    arrays : {"numpy", "torch", "jax"}, optional
        What it takes; by default the first that it does not refuse.
    device : str, optional
        Where the arrays are to be, as PyTorch ("cuda") or JAX ("gpu") name it.
    dtypes : sequence of {"float32", "float64", "float16", "bfloat16"}, optional
        The formats to try, all of them; by default those that it gives back as it got them.
    max_ulp : float, optional
        The error allowed, in units in the last place of the exact value. By default what normexp promises: 1 in
        float32, 2 in float64, 0.51 in half types.

    Raises
    ------
    AssertionError
        If it is further off, gives another shape or dtype, raises, writes into its input, or makes something else of
        infinities and NaN than PyTorch does; with the smallest input found that shows it.
    normexp.verify.subject.NotAFunctionError
        If it takes nothing that it is given.

    Examples
    --------
    >>> import normexp
    >>> from normexp.verify import assert_conforms
    >>> assert_conforms(normexp.log_softmax, op="log_softmax", dtypes=["float16"])
    """
    from normexp.verify import conform, subject

    if unknown := subject.unknown(op, arrays, dtypes):
        name = "dtypes" if unknown.what == "dtype" else unknown.what
        raise ValueError(f"{name} must be of {', '.join(unknown.known)}, not {unknown.given!r}")
    outcome = conform.run(
        subject.examined(function, op, arrays=arrays, device=device, dtypes=dtypes), max_ulp, quiet=True
    )
    if outcome.findings:
        raise AssertionError(outcome.describe(_FINDINGS_IN_ASSERTION))
