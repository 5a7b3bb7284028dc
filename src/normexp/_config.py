"""What the engine runs on: threads, CPU level, versions."""

from __future__ import annotations

import operator
import os
import platform
import sys
import warnings

import numpy as np

from normexp import _engine


class Config(dict[str, object]):
    """A dictionary that prints as one aligned line an entry."""

    def __str__(self) -> str:
        """Entries under each other."""
        width = max(map(len, self))
        return "\n".join(f"{key:<{width}}  {value}" for key, value in self.items())


def set_num_threads(n: int, /) -> None:
    """Set how many threads a call may use, the calling one included.

    The results do not depend on it: they have the same bits for any number. Small arrays are always computed on the
    calling thread alone.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import normexp
    >>> before = normexp.get_num_threads()
    >>> normexp.set_num_threads(1)
    >>> normexp.get_num_threads()
    1
    >>> normexp.set_num_threads(before)
    """
    if isinstance(n, bool):
        raise TypeError(f"the number of threads must be an integer, not the bool {n}")
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"the number of threads must be an integer, not {type(n).__name__} {n!r}") from None
    if not 1 <= count <= _MOST_THREADS:
        raise ValueError(f"the number of threads must be between 1 and {_MOST_THREADS}, not {count}")
    _engine.set_thread_count(count)


def get_num_threads() -> int:
    """Return how many threads a call may use.

    The default is the number of CPUs this process may run on, or the environment variable ``NORMEXP_NUM_THREADS``.

    Returns
    -------
    int
        See `set_num_threads`.

    Examples
    --------
    >>> import normexp
    >>> normexp.get_num_threads() >= 1
    True
    """
    return _engine.thread_count()


def show_config() -> Config:
    """Return what the engine runs on: version, CPU level, threads.

    The level is the best one this machine has; the environment variable ``NORMEXP_CPU``, read when normexp is first
    imported, forces one of ``levels``. Results have the same bits at every level.

    Returns
    -------
    Config
        A dict that prints readably, with the keys ``version``, ``level``, ``levels`` (all that this machine can run,
        best first), ``threads``, ``pool_mib``, ``machine``, ``python`` and ``numpy``. The pool keeps up to so many MiB
        of freed large results for the next ones; the environment variable ``NORMEXP_POOL_MIB`` sets it, 0 for none.
        ``accelerated`` names the operators of PyTorch that `normexp.torch.enable` has put the engine behind.

    Examples
    --------
    >>> import normexp
    >>> config = normexp.show_config()
    >>> config["level"] in config["levels"]
    True
    """
    import normexp

    return Config(
        version=normexp.__version__,
        level=_engine.level(),
        levels=_engine.levels(),
        threads=_engine.thread_count(),
        pool_mib=_engine.pool_limit() >> 20,
        machine=f"{platform.machine()} {platform.system()}",
        python=platform.python_version(),
        numpy=np.__version__,
        accelerated=_accelerated_operators(),
    )


def _accelerated_operators() -> list[str]:
    # Without importing it: who has not, has enabled nothing.
    dispatcher = sys.modules.get("normexp.torch._dispatcher")
    return [] if dispatcher is None else list(dispatcher.active_operators())


# More threads than any machine has CPUs would only exhaust memory with stacks.
_MOST_THREADS = 4096


def _default_threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    asked = os.environ.get("NORMEXP_NUM_THREADS", "").strip()
    if not asked:
        return cpus
    if asked.isascii() and asked.isdigit() and 1 <= int(asked) <= _MOST_THREADS:
        return int(asked)
    warnings.warn(
        f"NORMEXP_NUM_THREADS is {asked!r}, which is no number from 1 to {_MOST_THREADS}: using {cpus}",
        RuntimeWarning,
        stacklevel=2,
    )
    return cpus


try:
    _engine.level()  # picks it
except RuntimeError as error:  # NORMEXP_CPU names none of this machine's
    raise ImportError(str(error)) from None
_engine.set_thread_count(_default_threads())
