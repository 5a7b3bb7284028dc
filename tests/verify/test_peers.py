"""The adapters: the same function of the same rows, whoever computes it; and those who cannot."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from normexp.verify import measure, oracle, peers
from normexp.verify.cases import DTYPES

ROWS = np.array([[0.5, -1.25, 2.0, 0.0], [3.0, 3.0, -8.0, 1.0]])


def everyone():
    return [peers.ours(), *peers.installed()[0]]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("function", peers.FUNCTIONS)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_everyone_computes_the_same(dtype, function, temperature):
    x = ROWS.astype(dtype)
    if function == "logsumexp" and temperature != 1:
        pytest.skip("logsumexp takes no temperature")
    arguments = () if function == "logsumexp" else (temperature,)
    exact = [getattr(oracle, function)(row, *arguments) for row in x]
    computed = 0
    for implementation in everyone():
        try:
            got = implementation(function, x, temperature)
        except peers.UnsupportedError:
            continue
        computed += 1
        assert got.dtype == x.dtype, implementation.name
        for row, values in zip(got, exact, strict=True):
            # Loose: a mix-up of functions, axes or signs is off by more than ten units of a bfloat16.
            assert measure.max_ulp(row, values) < 12, implementation.name
    assert computed >= 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("function", peers.LOSSES)
def test_everyone_computes_the_same_losses(dtype, function):
    x, labels = ROWS.astype(dtype), np.array([2, 1])
    exact = [getattr(oracle, function)(row, label) for row, label in zip(x, labels.tolist(), strict=True)]
    exact = [value for values in exact for value in (values if isinstance(values, list) else [values])]
    computed = 0
    for implementation in everyone():
        try:
            got = implementation.loss(function, x, labels)
        except peers.UnsupportedError:
            continue
        computed += 1
        assert got.dtype == x.dtype, implementation.name
        # Loose, as above, but for p - 1, which loses more than that.
        assert measure.max_ulp(got, exact) < (12 if function == "cross_entropy" else 300), implementation.name
    assert computed >= 2


@pytest.mark.filterwarnings("ignore")  # compilers deprecate themselves
@pytest.mark.parametrize(
    ("name", "dtypes", "functions"),
    [
        ("JAX", DTYPES.values(), (*peers.FUNCTIONS, *peers.LOSSES)),
        ("torch.compile", [DTYPES["float32"]], ("log_softmax", "cross_entropy_grad")),  # seconds each
    ],
)
def test_those_who_compile_compute_the_same(name, dtypes, functions):
    compiling = peers.by_name(peers.installed(full=True)[0], name)
    if compiling is None:
        pytest.skip(f"{name} is not installed")
    labels = np.array([2, 1])
    for dtype, function in itertools.product(dtypes, functions):
        x = ROWS.astype(dtype)
        of_label = function in peers.LOSSES
        got = compiling.loss(function, x, labels) if of_label else compiling(function, x)
        assert got.dtype == x.dtype
        targets = ((label,) for label in labels.tolist()) if of_label else ((), ())
        exact = [getattr(oracle, function)(row, *target) for row, target in zip(x, targets, strict=True)]
        exact = [value for values in exact for value in (values if isinstance(values, list) else [values])]
        assert measure.max_ulp(got, exact) < (300 if function == "cross_entropy_grad" else 12), (function, dtype)


def test_those_who_compile_are_asked_for():
    found, missing = peers.installed()
    assert not {"JAX", "torch.compile", "TensorFlow"} & {*missing, *(one.name for one in found)}


def test_options_reach_those_who_take_them():
    x, labels = ROWS, np.array([2, -1])
    options = {"ignore_index": -1, "label_smoothing": 0.1, "reduction": "sum"}
    exact = oracle.cross_entropy(x[0], 2, label_smoothing=0.1)
    for implementation in everyone():
        try:
            got = implementation.loss("cross_entropy", x, labels, **options)
        except peers.UnsupportedError:
            assert implementation.name not in ("normexp", "PyTorch")
            continue
        assert measure.max_ulp(got, exact) < 12, implementation.name


def test_who_says_nothing_of_losses_offers_none():
    with pytest.raises(peers.UnsupportedError, match="no cross_entropy here"):
        peers.Implementation("some", "0", lambda function, x, t: x).loss("cross_entropy", ROWS, [0, 0])


def test_versions_are_known():
    for implementation in everyone():
        assert implementation.version[0].isdigit(), implementation.name


def test_missing_and_broken_peers_are_said_to_be_so(no_torch):
    found, missing = peers.installed()
    assert [one.name for one in found] == ["NumPy shifted", "NumPy naive", "scikit-learn"]
    assert missing["PyTorch"] == "not installed (No module named 'torch')"
    assert missing["SciPy"].startswith("not installed")
    assert missing["ONNX Runtime"].startswith("unusable (libonnxruntime.so")


def test_matrices_are_made_for_scikit_learn():
    learn = peers.by_name(peers.installed()[0], "scikit-learn")
    if learn is None:
        pytest.skip("scikit-learn is not installed")
    assert np.array_equal(learn("softmax", ROWS[0]), learn("softmax", ROWS)[0])
    with pytest.raises(peers.UnsupportedError):
        learn("log_softmax", ROWS)


def test_naive_code_overflows_without_a_warning():
    assert np.isnan(peers.naive(np.array([1000.0, 0.0]))).tolist() == [True, False]


def test_by_name():
    assert peers.by_name([peers.ours()], "normexp") is not None
    assert peers.by_name([peers.ours()], "PyTorch") is None
