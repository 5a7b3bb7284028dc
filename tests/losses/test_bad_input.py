"""Bad input raises the right error, says what was given and what was expected, and leaves `out` as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import COUNTS, SetThreads, bits
from test_bad_input import SENTINEL, STRUCTURED, OnGpu

import normexp
from losses.problems import labels

X = np.arange(12.0, dtype=np.float32).reshape(3, 4) / 4
T = np.array([0, 3, 2])
Q = np.full((3, 4), 0.25, dtype=np.float32)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "nll_loss": normexp.nll_loss,
    "cross_entropy": normexp.cross_entropy,
    "cross_entropy_and_grad": normexp.cross_entropy_and_grad,
    "row_stats": normexp.row_stats,
}
LOSSES = ("nll_loss", "cross_entropy", "cross_entropy_and_grad")
FROM_LOGITS = LOSSES[1:]

Error = type[Exception] | tuple[type[Exception], ...]


@pytest.fixture(params=FUNCTIONS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each function in turn."""
    return request.param


def refused(name: str, error: Error, words: tuple[str, ...], x: Any = X, target: Any = T, **options: Any) -> None:
    """Call, expect that error with all these words in it, and find `out` untouched."""
    if name == "cross_entropy_and_grad":  # what would fit, had the rest been good
        options.setdefault("out", np.full(np.shape(x), SENTINEL, getattr(x, "dtype", np.float64)))
    out = options.get("out")
    before = bits(out) if isinstance(out, np.ndarray) and out.dtype.kind in "fV" else None
    with pytest.raises(error) as caught:
        FUNCTIONS[name](x, target, **options)
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in the message: {caught.value}"
    if before is not None:
        assert (bits(out) == before).all(), "something was written to out"


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


@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (3, 1), (1, 3), (4, 3), (3, 4), (0,)])
def test_shape_of_labels(name: str, shape: tuple[int, ...]) -> None:
    refused(name, ValueError, ("target", str(shape), "(3,)"), target=np.zeros(shape, dtype=int))


@pytest.mark.parametrize("shape", [(), (3,), (4,), (3, 1), (4, 3), (3, 5), (1, 3, 4), (3, 4, 1)])
def test_shape_of_probabilities(shape: tuple[int, ...]) -> None:
    for name in FROM_LOGITS:
        refused(name, ValueError, ("target", str(shape), "(3, 4)"), target=np.zeros(shape, dtype=np.float32))


def test_labels_of_floats_are_no_labels() -> None:
    for name in ("nll_loss", "row_stats"):
        for target in (T.astype(np.float32), T.astype(float), Q, T.astype(ml_dtypes.bfloat16)):
            refused(name, TypeError, ("target", str(target.dtype), "integers"), target=target)
    for name in FROM_LOGITS:
        refused(name, ValueError, ("target", "integers"), target=T.astype(float))


TARGETS = {
    "bool": T > 0,
    "bool matrix": X > 1,
    "complex": T.astype(complex),
    "str": np.array(["a", "b", "c"]),
    "object": T.astype(object),
    "None in a list": [0, None, 1],
    "datetime": np.array(["2024-01-01"] * 3, dtype="datetime64[D]"),
    "timedelta": np.array([1, 2, 3], dtype="timedelta64[s]"),
    "structured": STRUCTURED,
    "float8": Q.astype(ml_dtypes.float8_e4m3fn),
    "int4": T.astype(ml_dtypes.int4),
    "another device": OnGpu(),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_kind_of_target(name: str, kind: str) -> None:
    error = (TypeError, BufferError, ValueError) if kind == "another device" else TypeError
    refused(name, error, ("target",) if kind != "another device" else ("CPU",), target=TARGETS[kind])


def test_masked_arrays(name: str) -> None:
    masked = np.ma.masked_equal(T, 3)
    refused(name, TypeError, ("target", "mask"), target=masked)
    refused(name, TypeError, ("mask",), np.ma.masked_greater(X, 1))
    for loss in LOSSES:
        refused(loss, TypeError, ("weight", "mask"), weight=np.ma.ones(4))


def test_ragged_target(name: str) -> None:
    refused(name, ValueError, ("target",), target=[[0], [1, 2], [3]])


def test_target_that_is_missing(name: str) -> None:
    if name != "row_stats":
        refused(name, TypeError, ("target",), target=None)


@pytest.mark.parametrize(
    "reduction", ["average", "", "Mean", None, 1, b"mean", "batchmean", ("mean",), np.array(["mean"])]
)
def test_reduction(reduction: Any) -> None:
    for name in LOSSES:
        refused(
            name,
            (ValueError, TypeError),
            ("reduction", "'none'", "'mean'", "'sum'", repr(reduction)),
            reduction=reduction,
        )


@pytest.mark.parametrize("smoothing", [-0.1, 1.0000001, float("nan"), float("inf"), -float("inf"), 2, -5e-324])
def test_label_smoothing_value(smoothing: float) -> None:
    for name in FROM_LOGITS:
        refused(name, ValueError, ("label_smoothing", str(smoothing)), label_smoothing=smoothing)
        refused(name, ValueError, ("label_smoothing", str(smoothing)), target=Q, label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [None, "0.1", b"0", True, 1j, [0.1], np.ones(1), {}])
def test_label_smoothing_type(smoothing: Any) -> None:
    for name in FROM_LOGITS:
        refused(name, TypeError, ("label_smoothing",), label_smoothing=smoothing)


def test_label_smoothing_that_works() -> None:
    for smoothing in (0, 1, np.float32(0.5), np.float16(0.25), np.array(0.1), np.int64(0), -0.0):
        assert np.isfinite(normexp.cross_entropy(X, T, label_smoothing=smoothing))


@pytest.mark.parametrize("shape", [(), (3,), (5,), (1,), (0,), (1, 4), (4, 1), (3, 4)])
def test_weight_shape(shape: tuple[int, ...]) -> None:
    for name in LOSSES:
        refused(name, ValueError, ("weight", str(shape), "(4,)"), weight=np.ones(shape))


@pytest.mark.parametrize(
    "weight",
    [
        np.ones(4, bool),
        np.ones(4, complex),
        ["1", "1", "1", "1"],
        np.ones(4, object),
        [None] * 4,
        "abcd",
        np.ones(4, "m8[s]"),
    ],
)
def test_weight_dtype(weight: Any) -> None:
    for name in LOSSES:
        refused(name, TypeError, ("weight", str(np.asarray(weight).dtype)), weight=weight)


@pytest.mark.parametrize("index", [None, 1.0, "1", True, np.float64(1), [1], np.array([1, 2]), np.True_])
def test_ignore_index_type(index: Any) -> None:
    for name in LOSSES:
        refused(name, TypeError, ("ignore_index",), ignore_index=index)


def test_probabilities_have_no_label_to_ignore() -> None:
    for name in FROM_LOGITS:
        for index in (0, 1, 100):
            refused(name, ValueError, ("ignore_index", str(index), "probabilities"), target=Q, ignore_index=index)


@pytest.mark.parametrize("axis", [2, -3, 100, -(2**31)])
def test_axis_out_of_range(name: str, axis: int) -> None:
    refused(name, np.exceptions.AxisError, (str(axis), "2"), axis=axis)


@pytest.mark.parametrize("axis", [None, (1,), [1], (0, 1), 1.0, "1", True, np.False_, 1j, np.array([0, 1])])
def test_axis_type(name: str, axis: Any) -> None:
    refused(name, TypeError, ("axis",), axis=axis)


@pytest.mark.parametrize("axis", [-1, 0])
def test_zero_dimensional_logits(name: str, axis: int) -> None:
    for target in (0, np.array(0), 1.0) if name in FROM_LOGITS else (0,):
        refused(name, (ValueError, np.exceptions.AxisError), ("0",), np.float32(1), target, axis=axis)


def test_no_classes(name: str) -> None:
    """No label is one of none."""
    options = {"out": None} if name == "cross_entropy_and_grad" else {}
    refused(name, (IndexError, ValueError), ("class",), np.zeros((3, 0), np.float32), [0, 0, 0], **options)


@pytest.mark.parametrize("kind", ["complex", "object", "str", "float8", "structured"])
def test_logits(name: str, kind: str) -> None:
    x: Any = {
        "complex": X.astype(complex),
        "object": X.astype(object),
        "str": X.astype(str),
        "float8": X.astype(ml_dtypes.float8_e5m2),
        "structured": STRUCTURED,
    }[kind]
    options = {"out": None} if name == "cross_entropy_and_grad" else {}
    refused(name, TypeError, ("log_probs" if name == "nll_loss" else "logits", "float32"), x, **options)


OUTS: dict[str, tuple[Any, Error, tuple[str, ...]]] = {
    "shape": (np.zeros((4, 3), np.float32), ValueError, ("(4, 3)", "(3, 4)")),
    "too short": (np.zeros((2, 4), np.float32), ValueError, ("(2, 4)", "(3, 4)")),
    "of the loss": (np.zeros(3, np.float32), ValueError, ("(3,)", "(3, 4)")),
    "dtype": (np.zeros((3, 4)), TypeError, ("float64", "float32")),
    "byte order": (np.zeros((3, 4), np.dtype("f4").newbyteorder()), TypeError, ("f4",)),
    "list": ([[0.0] * 4] * 3, TypeError, ("list",)),
    "masked": (np.ma.zeros((3, 4), np.float32), TypeError, ("mask",)),
    "itself": (np.lib.stride_tricks.as_strided(np.zeros(8, np.float32), (3, 4), (8, 4)), ValueError, ("share memory",)),
    "unaligned": (np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4), ValueError, ("aligned",)),
}


@pytest.mark.parametrize("kind", OUTS)
@pytest.mark.parametrize("target", [T, Q], ids=["labels", "probabilities"])
def test_out(kind: str, target: np.ndarray) -> None:
    out, error, words = OUTS[kind]
    refused("cross_entropy_and_grad", error, ("out", *words), target=target, out=out)


def test_out_read_only() -> None:
    out = np.full((3, 4), SENTINEL, np.float32)
    out.flags.writeable = False
    refused("cross_entropy_and_grad", ValueError, ("out", "read-only"), out=out)
    x = X.copy()
    x.flags.writeable = False
    refused("cross_entropy_and_grad", ValueError, ("out", "read-only"), x, out=x)


def test_out_overlaps() -> None:
    base = np.arange(24, dtype=np.float32)
    x = base[:12].reshape(3, 4)
    for out in (base[1:13].reshape(3, 4), x[::-1], x[:, ::-1], base[11:23].reshape(3, 4), base[:24:2].reshape(3, 4)):
        refused("cross_entropy_and_grad", ValueError, ("out", "overlap"), x, out=out)
    q = base[12:].reshape(3, 4)
    for out in (q, q[::-1], base[10:22].reshape(3, 4)):
        refused("cross_entropy_and_grad", ValueError, ("out", "overlap"), X, q, out=out)


def test_out_overlaps_labels_or_weights() -> None:
    memory = np.zeros(64, dtype=np.uint8)
    out = memory[:48].view(np.float32).reshape(3, 4)
    refused(
        "cross_entropy_and_grad", ValueError, ("out", "overlap", "target"), target=memory[:24].view(np.int64), out=out
    )
    weight = memory[16:48].view(np.float64)
    refused("cross_entropy_and_grad", ValueError, ("out", "overlap", "weight"), weight=weight, out=out)


def test_arguments_by_position_and_by_name(name: str) -> None:
    function = FUNCTIONS[name]
    for call in (
        lambda: function(),
        lambda: function(X, T, 1),
        lambda: function(logits=X, target=T),
        lambda: function(X, target=T),
        lambda: function(X, T, dim=1),
        lambda: function(X, T, axes=1),
    ):
        with pytest.raises(TypeError):
            call()
    if name != "row_stats":
        with pytest.raises(TypeError):
            function(X)
    for other, option in (("nll_loss", "label_smoothing"), ("cross_entropy", "out"), ("row_stats", "reduction")):
        with pytest.raises(TypeError, match=option):
            FUNCTIONS[other](X, T, **{option: None})
