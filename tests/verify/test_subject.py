"""Anybody's function: found by its name, and called the way it wants to be called."""

import math

import numpy as np
import pytest

from normexp.verify import measure, oracle, peers, subject

ROWS = np.array([[0.5, -1.25, 2.0, 0.0], [3.0, 3.0, -8.0, 1.0]], np.float32)
LABELS = np.array([2, 1])


def softmax(x):
    return peers.shifted("softmax", np.asarray(x))


def losses(logits, labels):
    wide = logits.astype(np.float64)
    return (peers.shifted("logsumexp", wide) - wide[np.arange(len(wide)), labels]).astype(logits.dtype)


def close(got, function, *targets):
    exact = [getattr(oracle, function)(row, *target) for row, *target in zip(ROWS, *targets, strict=True)]
    exact = [value for values in exact for value in (values if isinstance(values, list) else [values])]
    assert got.shape == (ROWS.shape if len(exact) == ROWS.size else ROWS.shape[:1])
    assert measure.max_ulp(got, exact) < 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numpy", "'numpy' names no function: it should read package.module:function"),
        ("numpy:", "names no function"),
        (":exp", "names no function"),
        ("no_such_package_here:f", "cannot import no_such_package_here: ModuleNotFoundError: No module named"),
        ("numpy:no_such_function", "numpy has no no_such_function"),
        ("numpy:linalg.no_such", "numpy has no linalg.no_such"),
        ("numpy:pi", "numpy:pi is float, not a function"),
    ],
)
def test_what_cannot_be_loaded_is_said(name, message):
    with pytest.raises(subject.NotAFunctionError) as raised:
        subject.load(name)
    assert message in str(raised.value)


def test_a_module_that_breaks_off_is_said(tmp_path, monkeypatch):
    (tmp_path / "breaks_off.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/"])
    with pytest.raises(
        subject.NotAFunctionError, match="cannot import breaks_off: ZeroDivisionError: division by zero"
    ):
        subject.load("breaks_off:f")


def test_functions_are_found_in_the_current_directory_and_in_classes(tmp_path, monkeypatch):
    (tmp_path / "mine_to_load.py").write_text("class A:\n    @staticmethod\n    def f(x):\n        return x + 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/"])
    assert subject.load("mine_to_load:A.f")(1) == 2


def test_numpy_comes_first():
    found = subject.examined(softmax, "softmax")
    assert (found.arrays, found.op, found.implementation.name) == ("numpy", "softmax", "softmax")
    assert found.dtypes == ("float32", "float64", "float16", "bfloat16")
    assert found.refused == {}
    close(found.implementation("softmax", ROWS), "softmax")


def test_tensors_are_given_to_those_who_want_them():
    torch = pytest.importorskip("torch")
    for function in (
        torch.softmax,
        torch.nn.functional.softmax,
        lambda x: torch.exp(x) / torch.exp(x).sum(-1)[:, None],
    ):
        found = subject.examined(function, "softmax")
        assert found.arrays == "torch"
        assert "bfloat16" in found.dtypes
        close(found.implementation("softmax", ROWS), "softmax")


def test_jax_arrays_are_given_to_those_who_want_them():
    jax = pytest.importorskip("jax")
    found = subject.examined(jax.jit(jax.nn.softmax), "softmax")
    assert found.arrays == "jax"
    assert "float32" in found.dtypes
    close(found.implementation("softmax", ROWS), "softmax")


def test_what_is_asked_for_is_given():
    pytest.importorskip("torch")
    found = subject.examined(lambda x: x, "softmax", arrays="torch", device="cpu", dtypes=["float16"])
    assert (found.arrays, found.dtypes) == ("torch", ("float16",))
    with pytest.raises(subject.NotAFunctionError, match="torch, float32: "):
        subject.examined(lambda x: x, "softmax", device="cuda:99")
    with pytest.raises(subject.NotAFunctionError, match="no device"):
        subject.examined(softmax, "softmax", arrays="numpy", device="cuda")


@pytest.mark.parametrize("parameter", ["axis", "dim"])
def test_the_axis_is_given_where_there_is_a_parameter(parameter):
    def by_columns(x, along=0):
        return np.exp(x) / np.exp(x).sum(along, keepdims=True)

    namespace = {"by_columns": by_columns}
    exec(f"def function(x, {parameter}=0): return by_columns(x, {parameter})", namespace)
    found = subject.examined(namespace["function"], "softmax")
    close(found.implementation("softmax", ROWS), "softmax")


def test_temperatures_are_given_where_there_is_a_parameter():
    def warm(x, temperature=1.0):
        return peers.shifted("softmax", x / x.dtype.type(temperature))

    got = subject.examined(warm, "softmax").implementation("softmax", ROWS * 2, 2.0)
    close(got, "softmax")
    with pytest.raises(peers.UnsupportedError, match="it has no temperature"):
        subject.examined(softmax, "softmax").implementation("softmax", ROWS, 2.0)


def test_one_op_alone_is_offered():
    found = subject.examined(softmax, "softmax")
    with pytest.raises(peers.UnsupportedError, match="it has no"):
        found.implementation("log_softmax", ROWS)


def test_a_single_row_is_given_as_a_matrix():
    def of_matrices(x):
        assert x.ndim == 2
        return softmax(x)

    found = subject.examined(of_matrices, "softmax")
    close(np.stack([found.implementation("softmax", row) for row in ROWS]), "softmax")


def test_losses():
    found = subject.examined(losses, "cross_entropy")
    close(found.implementation.loss("cross_entropy", ROWS, LABELS), "cross_entropy", LABELS.tolist())


def test_a_mean_is_taken_row_by_row():
    calls = []

    def mean(logits, labels):
        calls.append(len(labels))
        return losses(logits, labels).mean()

    found = subject.examined(mean, "cross_entropy")
    calls.clear()
    close(found.implementation.loss("cross_entropy", ROWS, LABELS), "cross_entropy", LABELS.tolist())
    assert calls == [1, 1]


def test_pytorch_differentiates():
    torch = pytest.importorskip("torch")

    def each(logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    for function in (each, torch.nn.functional.cross_entropy):  # whose default is the mean
        found = subject.examined(function, "cross_entropy_grad", dtypes=["float32"])
        assert found.arrays == "torch"
        got = found.implementation.loss("cross_entropy_grad", ROWS, LABELS)
        close(got, "cross_entropy_grad", LABELS.tolist())


def test_jax_differentiates():
    jax = pytest.importorskip("jax")

    def each(logits, labels):
        picked = jax.numpy.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
        return jax.nn.logsumexp(logits, axis=-1) - picked

    for function in (each, lambda logits, labels: each(logits, labels).mean()):
        found = subject.examined(function, "cross_entropy_grad", dtypes=["float32"])
        assert found.arrays == "jax"
        got = found.implementation.loss("cross_entropy_grad", ROWS, LABELS)
        close(got, "cross_entropy_grad", LABELS.tolist())


def test_a_gradient_of_its_own_is_taken_as_it_is():
    def gradient(logits, labels):
        p = peers.shifted("softmax", logits.astype(np.float64))
        p[np.arange(len(p)), labels] -= 1
        return p.astype(logits.dtype)

    found = subject.examined(gradient, "cross_entropy_grad", dtypes=["float32"])
    close(found.implementation.loss("cross_entropy_grad", ROWS, LABELS), "cross_entropy_grad", LABELS.tolist())


def test_options_are_given_where_there_are_parameters():
    torch = pytest.importorskip("torch")
    found = subject.examined(torch.nn.functional.cross_entropy, "cross_entropy", dtypes=["float32"])
    ignored = np.array([-100, -100])
    assert math.isnan(found.implementation.loss("cross_entropy", ROWS, ignored, reduction="mean")[0])
    assert found.implementation.loss("cross_entropy", ROWS, ignored, reduction="sum").tolist() == [0.0]
    with pytest.raises(peers.UnsupportedError, match="ignored"):
        subject.examined(losses, "cross_entropy").implementation.loss("cross_entropy", ROWS, ignored)
    with pytest.raises(peers.UnsupportedError, match="labels"):
        found.implementation.loss("cross_entropy", ROWS, np.abs(ROWS))


def test_formats_are_refused_with_a_reason():
    def picky(x):
        if x.dtype == np.float64:
            raise TypeError("no doubles, please")
        return softmax(x.astype(np.float32) if x.dtype.itemsize == 2 else x)

    found = subject.examined(picky, "softmax")
    assert found.dtypes == ("float32",)
    half = "returns float32"
    assert found.refused == {"float64": "TypeError: no doubles, please", "float16": half, "bfloat16": half}
    # Of those asked for by name none is left out.
    asked = subject.examined(picky, "softmax", dtypes=["float32", "float16"])
    assert (asked.dtypes, asked.refused) == (("float32", "float16"), {})


def test_what_takes_nothing_is_no_function():
    def no(x):
        raise RuntimeError("never")

    with pytest.raises(subject.NotAFunctionError, match="numpy, float16: RuntimeError: never"):
        subject.examined(no, "softmax")


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_writing_into_the_input_is_found(kind):
    pytest.importorskip(kind)

    def in_place(x):
        x -= x.max() if kind == "torch" else x.max(axis=-1, keepdims=True)
        return x

    found = subject.examined(in_place, "softmax", arrays=kind)
    with pytest.raises(subject.InputChangedError, match="wrote into its input"):
        found.implementation("softmax", ROWS)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_strides_are_kept(kind):
    pytest.importorskip(kind)
    seen = []

    def look(x):
        seen.append(x.strides if kind == "numpy" else tuple(4 * step for step in x.stride()))
        return x

    found = subject.examined(look, "softmax", arrays=kind, dtypes=["float32"])
    wide = np.arange(48, dtype=np.float32).reshape(6, 8)
    for x in (np.asfortranarray(wide), wide[::2, 1::3], np.broadcast_to(wide[0], (3, 8))):
        assert np.array_equal(found.implementation("softmax", x), x)
        assert seen[-1] == x.strides
    backwards = wide[::-1, ::-1]
    assert np.array_equal(found.implementation("softmax", backwards), backwards)
    if kind == "numpy":  # PyTorch has no such strides
        assert seen[-1] == backwards.strides
