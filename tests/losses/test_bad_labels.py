"""A label that is no class is refused with its row, wherever it stands, and nothing is written."""

from __future__ import annotations

import numpy as np
import pytest
from support import COUNTS, SetThreads

from losses.problems import labels
from losses.refusals import LOSSES, T, X, refused


@pytest.mark.parametrize("label", [4, -1, 100, -(2**31), 2**31, 2**40, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_label_out_of_range(name: str, row: int, label: int) -> None:
    target = T.copy()
    target[row] = label
    refused(name, IndexError, (f"target[{row}]", f" {label},", "0 to 3"), target=target)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("count", [3, 40, 1000])
def test_labels_at_the_ends_of_their_dtype(name: str, kind: str, count: int) -> None:
    """Also those that would be the ignored one, -100, were they read with a sign."""
    info = np.iinfo(kind)
    x = np.tile(X[:1], (count, 1))
    for label in {info.min, info.max, info.max - 99, 2 ** (info.bits - 1) % (info.max + 1), 4}:
        if 0 <= label < 4:
            continue
        for row in (0, count // 2, count - 1):
            target = np.zeros(count, kind)
            target[row] = label
            refused(name, IndexError, (f"target[{row}]", f" {label},"), x, target)


def test_ignored_label_without_a_sign() -> None:
    """156 is no -100, though a byte of it is; nor is -1 the largest number without a sign."""
    for name in LOSSES:
        refused(name, IndexError, ("target[1]", "156"), target=np.array([0, 156, 0], np.uint8), ignore_index=-100)
        refused(name, IndexError, ("target[1]", "-1"), target=np.array([0, -1, 0], np.int8), ignore_index=255)
        refused(
            name,
            IndexError,
            ("target[1]", str(2**64 - 1)),
            target=np.array([0, 2**64 - 1, 0], np.uint64),
            ignore_index=-1,
        )


@pytest.mark.parametrize("ignore", [4, -1, 2])
def test_only_one_label_is_ignored(ignore: int) -> None:
    for name in LOSSES:
        for label in (-100, 5, -2):
            refused(
                name,
                IndexError,
                ("target[2]", f" {label},", f"{ignore}"),
                target=[0, ignore, label],
                ignore_index=ignore,
            )


@pytest.mark.parametrize(("shape", "axis"), [((2, 5, 3), 1), ((2, 3, 5), 2), ((5, 2, 3), 0), ((2, 3, 5), -1)])
def test_the_row_is_named_by_its_index(name: str, shape: tuple[int, ...], axis: int) -> None:
    """Among the rows as the target has them, wherever the classes are."""
    x = np.zeros(shape, dtype=np.float64)
    for row in np.ndindex(2, 3):
        target = np.zeros((2, 3), dtype=np.int32)
        target[row] = 5
        for given in (target, np.asfortranarray(target), target[::-1, ::-1].copy()[::-1, ::-1]):
            refused(name, IndexError, (f"target[{row[0]}, {row[1]}]", " 5,", "0 to 4"), x, given, axis=axis)


def test_a_single_row(name: str) -> None:
    for label in (4, -1):
        refused(name, IndexError, ("target", str(label), "0 to 3"), X[0], label)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("layout", ["rows", "channels", "strided", "one long row"])
def test_label_out_of_range_in_large_arrays(threads: SetThreads, name: str, count: int, layout: str) -> None:
    """The first one is named, and nothing is written, whichever thread would find which."""
    threads(count)
    axis = 1
    if layout == "rows":
        x = np.zeros((100_003, 10), dtype=np.float32)
    elif layout == "channels":
        x = np.zeros((5, 10, 20_001), dtype=np.float32)
    elif layout == "strided":
        x = np.zeros((50_001, 20), dtype=np.float32)[:, ::-2]
    else:
        x = np.zeros((3, 400_000), dtype=np.float32)
    target = labels(x, axis)
    last = tuple(side - 1 for side in target.shape)
    for rows in ([last], [tuple(side // 2 for side in target.shape), last], [(0,) * target.ndim, last]):
        wrong = target.copy()
        for row, label in zip(rows, (x.shape[axis], -7), strict=False):
            wrong[row] = label
        place = f"target[{', '.join(map(str, rows[0]))}] is {x.shape[axis]}"
        refused(name, IndexError, (place,), x, wrong, axis=axis)


def test_out_of_range_in_place(threads: SetThreads) -> None:
    """The logits themselves are as they were when they are `out` as well."""
    for count in COUNTS:
        threads(count)
        x = np.random.default_rng(0).standard_normal((30_000, 10)).astype(np.float32)
        target = labels(x)
        target[-1] = 10
        refused("cross_entropy_and_grad", IndexError, ("target[29999]",), x, target, out=x)
