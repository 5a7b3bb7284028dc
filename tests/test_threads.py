"""Threads: the same bits for any number of them, from many callers at once, after fork; the interpreter runs on."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from losses.problems import LOSSES
from support import COUNTS, DTYPES, FUNCTIONS, SetThreads, assert_same_bits, at_each_count, bits, made, python

import normexp

# Many short rows, rows of every kind of length, few long ones, columns, and one row for all threads.
SHAPES = [((100_003, 10), -1), ((1500, 1000), -1), ((10, 100_003), 0), ((40, 33, 1000), 1), ((3, 700_001), -1)]
ONE_ROW = 4_000_037


@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_many_rows(threads: SetThreads, name: str, kind: str) -> None:
    for shape, axis in SHAPES:
        x = made(shape, kind)
        at_each_count(threads, lambda x=x, axis=axis: FUNCTIONS[name](x, axis=axis), shape)


@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_one_long_row(threads: SetThreads, name: str, kind: str) -> None:
    x = made((ONE_ROW,), kind)
    result = at_each_count(threads, lambda: FUNCTIONS[name](x))
    # One row alone is split over threads; the same row among others may not be. Nobody can tell.
    among = FUNCTIONS[name](np.stack([x, x[::-1]]))
    assert_same_bits(np.asarray(among[0]), result)
    assert_same_bits(np.asarray(FUNCTIONS[name](np.repeat(x, 2)[::2])), result, "strided")


def test_one_long_row_with_options(threads: SetThreads, name: str) -> None:
    x = made((ONE_ROW,))
    mask = np.random.default_rng(0).random(ONE_ROW) < 0.3
    at_each_count(threads, lambda: FUNCTIONS[name](x, where=mask))
    at_each_count(threads, lambda: FUNCTIONS[name](x[:4_000_000].reshape(-1, 1000), axis=None))
    if name != "logsumexp":
        at_each_count(threads, lambda: FUNCTIONS[name](x, temperature=0.7))
        at_each_count(threads, lambda: FUNCTIONS[name](copy := x.copy(), out=copy))


@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_one_long_row_in_any_layout(threads: SetThreads, name: str, kind: str) -> None:
    """Split among threads or not, a row that no single stride covers is that of its contiguous copy."""
    x = made((70, 90, 64), kind)
    for view in (x.transpose(2, 0, 1), x[::-1, ::2, ::-1], x[:, :, :50]):
        got = at_each_count(threads, lambda view=view: FUNCTIONS[name](view, axis=None), view.strides)
        assert_same_bits(got, np.asarray(FUNCTIONS[name](view.copy(), axis=None)), view.strides)
        got = at_each_count(threads, lambda view=view: FUNCTIONS[name](view, axis=(0, 2)), view.strides)
        assert_same_bits(got, np.asarray(FUNCTIONS[name](view.copy(), axis=(0, 2))), view.strides)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1_000_000, 2_000_018, ONE_ROW - 1])
def test_special_value_in_one_threads_share(threads: SetThreads, name: str, place: int, value: float) -> None:
    x = made((ONE_ROW,))
    x[place] = value
    result = at_each_count(threads, lambda: FUNCTIONS[name](x))
    hidden = {"softmax": -np.inf, "log_softmax": -np.inf, "softmin": np.inf}.get(name)
    if name == "logsumexp":
        assert value == -np.inf or np.array_equal(result, np.float32(value), equal_nan=True)
    elif value == hidden:
        assert result[place] == (-np.inf if name == "log_softmax" else 0)
        assert np.isfinite(np.delete(result, place)).all()
    else:
        assert np.isnan(result).all()


def test_long_cancelling_row(threads: SetThreads) -> None:
    x = np.full(2**22, -22 * np.log(2))
    x[::3] += 0.25
    x -= float(normexp.logsumexp(x))
    result = at_each_count(threads, lambda: normexp.logsumexp(x))
    assert abs(result) < 1e-13


def test_many_python_threads_at_once(threads: SetThreads) -> None:
    """Eight callers, each with arrays of its own, while a ninth changes the number of threads."""
    threads(2)
    arrays = [made((rows, length), kind) for rows, length in ((1, 400_000), (3000, 10), (300, 1000)) for kind in DTYPES]
    tasks = [(function, x) for function in (*FUNCTIONS.values(), *LOSSES.values()) for x in arrays]
    expected = [np.asarray(function(x)) for function, x in tasks]
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for count in COUNTS:
                normexp.set_num_threads(count)
                time.sleep(0.001)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            rounds = [list(pool.map(lambda task: np.asarray(task[0](task[1])), tasks * 2)) for _ in range(2)]
    finally:
        done.set()
        changer.join()
    for results in rounds:
        for result, wanted in zip(results, expected * 2, strict=True):
            assert_same_bits(result, wanted)


def test_other_python_threads_run_during_a_call(threads: SetThreads) -> None:
    threads(1)
    x = made((40, 100_000), "float64")
    stamps: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.0005):
            stamps.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        for _ in range(100):
            start = time.perf_counter()
            normexp.softmax(x)
            end = time.perf_counter()
            # A stamp needs the interpreter; one in the middle half of the call means that the call had let it go.
            quarter = (end - start) / 4
            if any(start + quarter < stamp < end - quarter for stamp in stamps):
                return
    finally:
        done.set()
        ticker.join()
    pytest.fail("no other thread ran in the middle of any of 100 calls")


FORK = """
import os, signal, sys, threading
import numpy as np, normexp

normexp.set_num_threads(4)
x = (np.random.default_rng(0).standard_normal((4, 300_000)) * 5).astype(np.float32)
labels = np.full(4, 7)

def computed():
    maps = [f(y) for f in (normexp.softmax, normexp.logsumexp) for y in (x, x[0])]
    losses = [normexp.cross_entropy_and_grad(y, t).grad for y, t in ((x, labels), (x[0], 7))]
    return [np.asarray(v).tobytes() for v in (*maps, *losses, normexp.row_stats(x, labels).entropy)]

wanted = computed()

def right():
    return wanted == computed()

busy = sys.argv[1] == "busy"
done = threading.Event()
other = threading.Thread(target=lambda: [normexp.softmax(x) for _ in iter(done.is_set, True)])
if busy:
    other.start()
fine = True
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs must not outlive the test
        normexp.set_num_threads(3)
        os._exit(0 if right() and right() else 1)
    fine = right() and fine
    fine = os.waitpid(child, 0)[1] == 0 and fine
done.set()
if busy:
    other.join()
print("right" if fine and right() else "wrong")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_fork(state: str) -> None:
    """Parent and child both compute after a fork, also where another thread was in the middle of a call."""
    result = python("-W", "ignore", "-c", FORK, state)
    assert (result.stdout, result.stderr) == ("right\n", "")


def test_exit_with_threads_waiting() -> None:
    """Threads that wait for work keep no process from ending, whichever thread ends it."""
    script = (
        "import threading, numpy as np, normexp\n"
        "normexp.set_num_threads(5)\n"
        "x = np.zeros((50, 100_000), dtype=np.float32)\n"
        "for _ in range(3): threading.Thread(target=normexp.softmax, args=(x,)).start()\n"
    )
    result = python("-c", script)
    assert (result.returncode, result.stderr) == (0, "")


def test_set_and_get(threads: SetThreads) -> None:
    for count in (1, 3, np.int64(2)):
        threads(count)  # type: ignore[arg-type]
        assert normexp.get_num_threads() == count
        assert normexp.show_config()["threads"] == count


@pytest.mark.parametrize(
    ("count", "error"),
    [
        *((count, ValueError) for count in (0, -1, 10**6, 2**40, 2**70)),
        *((count, TypeError) for count in ("2", 1.5, 2.0, None, True, [2], np.ones(2))),
    ],
)
def test_bad_number_of_threads(threads: SetThreads, count: Any, error: type[Exception]) -> None:
    threads(3)
    with pytest.raises(error) as caught:
        normexp.set_num_threads(count)
    assert "threads" in str(caught.value)
    assert repr(count) in str(caught.value)
    assert normexp.get_num_threads() == 3


COUNT = "import normexp; print(normexp.get_num_threads())"


def test_default_number_of_threads() -> None:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for unset in ({}, {"NORMEXP_NUM_THREADS": ""}):
        result = python("-c", COUNT, **unset)
        assert (result.stdout, result.stderr) == (f"{cpus}\n", "")


def test_number_of_threads_from_the_environment() -> None:
    result = python("-c", COUNT, NORMEXP_NUM_THREADS="3")
    assert (result.stdout, result.stderr) == ("3\n", "")


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "two", "2 3", "99999999999999999999", "²"])
def test_bad_number_of_threads_from_the_environment(count: str) -> None:
    """A bad setting of somebody's shell is no reason not to start: it is named, and the default is taken."""
    result = python("-W", "always", "-c", COUNT, NORMEXP_NUM_THREADS=count, PYTHONIOENCODING="utf-8")
    assert result.stdout == python("-c", COUNT).stdout
    assert result.stderr.count("RuntimeWarning") == 1
    assert "NORMEXP_NUM_THREADS" in result.stderr
    assert repr(count) in result.stderr


def test_small_work_stays_on_the_calling_thread() -> None:
    script = (
        "import threading, sys, numpy as np, normexp\n"
        "count = lambda: len(__import__('os').listdir('/proc/self/task'))\n"
        "before = count(); normexp.set_num_threads(4)\n"
        "normexp.softmax(np.zeros((10, 10))); print(count() - before)\n"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("threads are counted through /proc")
    assert python("-c", script).stdout == "0\n"


def test_bits_of_the_reference_are_not_all_alike() -> None:
    # What the tests above compare must be able to differ.
    x = made((1000,))
    assert (bits(normexp.softmax(x)) != bits(normexp.softmax(x * 2))).any()
