"""normexp keeps its contract on every family; wrong implementations do not."""

import math

import numpy as np
import pytest
from imposters import imposter

from normexp.verify import conformance, losses, peers
from normexp.verify.cases import DTYPES, FAMILIES, Case, Family

PAIRS = [(dtype, family) for family in FAMILIES for dtype in family.dtypes]


def cells(implementation, *families, dtypes=("float32",)):
    chosen = [Family(f.name, f.make, f.functions, dtypes) for f in families]
    return list(conformance.cells([implementation], chosen))


def family(name):
    return next(one for one in FAMILIES if one.name == name)


@pytest.mark.parametrize(("dtype", "tried"), PAIRS, ids=[f"{dtype}-{family.name}" for dtype, family in PAIRS])
def test_normexp_keeps_its_contract(ours, dtype, tried):
    for cell in cells(ours, tried, dtypes=(dtype,)):
        assert cell.passed, f"{cell.function}: {cell.ours.ulp} ULP, {cell.ours.where}"


def softmax_family(change=None, **options):
    """The functions in float64, with one thing done wrong."""

    def compute(function, x, temperature):
        y = x.astype(np.float64) / (1.0 if options.get("cold") else temperature)
        if change is not None and function != "softmin":
            y = change(y)
        m = y.max(axis=-1, keepdims=True) if options.get("shift", True) else np.zeros_like(y[..., :1])
        exps = np.exp(y - m)
        sums = options.get("sum", lambda e: e.sum(axis=-1, keepdims=True))(exps)
        if function == "softmax":
            return exps / sums
        if function == "log_softmax":
            return y - m - np.log(sums)
        return (m + np.log(sums))[..., 0]

    return imposter(compute)


def loss_of(change):
    """The losses in float64 by the formula, with one thing done wrong to (p, labels, loss, gradient)."""

    def compute(function, x, target, **options):
        wide, rows = x.astype(np.float64), np.arange(len(x))
        p = peers.shifted("softmax", wide)
        d = wide - wide.max(axis=-1, keepdims=True)
        others = np.exp(d)
        others[rows, d.argmax(axis=-1)] = 0
        rest = others.sum(axis=-1)
        loss = np.log1p(rest) - d[rows, target]
        gradient = p.copy()
        gradient[rows, target] = 0
        gradient[rows, target] = -gradient.sum(axis=-1)
        loss, gradient = change(p, target, loss, gradient)
        return loss if function == "cross_entropy" else gradient

    return imposter(lambda function, x, t: peers.shifted(function, x.astype(np.float64)), compute)


def at_labels(gradient, labels, value):
    gradient = gradient.copy()
    gradient[np.arange(len(labels)), labels] = value
    return gradient


LOSS_FAULTS = {
    "the next label": (lambda p, t, v, g: (np.roll(v, 1), g), "cross_entropy"),
    "negated": (lambda p, t, v, g: (-v, g), "cross_entropy"),
    "log of a float32": (lambda p, t, v, g: (-np.log(p.astype(np.float32)[np.arange(len(t)), t]), g), "cross_entropy"),
    "softmax alone": (lambda p, t, v, g: (v, p), "cross_entropy_grad"),
    "p - 1": (
        lambda p, t, v, g: (v, at_labels(g, t, p.astype(np.float32)[np.arange(len(t)), t] - np.float32(1))),
        "cross_entropy_grad",
    ),
    "of the mean": (lambda p, t, v, g: (v, g / len(t)), "cross_entropy_grad"),
}


@pytest.mark.parametrize("name", LOSS_FAULTS)
def test_seeded_faults_of_losses_are_found(name):
    change, function = LOSS_FAULTS[name]
    with np.errstate(all="ignore"):
        found = cells(loss_of(change), family("one clear winner"), family("spread x10"))
    assert not all(cell.passed for cell in found if cell.function == function)


def test_the_unfaulted_loss_passes():
    found = cells(loss_of(lambda p, t, v, g: (v, g)), family("one clear winner"), family("spread x10"))
    assert all(cell.passed for cell in found if cell.function in peers.LOSSES)


FAULTS = {
    "no shift": (softmax_family(shift=False), "spread x1000"),
    "wrong axis": (softmax_family(sum=lambda e: e.sum(axis=0, keepdims=True)), "spread x1"),
    "sum in float16": (softmax_family(sum=lambda e: e.astype(np.float16).sum(axis=-1, keepdims=True)), "spread x1"),
    "last element left out": (softmax_family(sum=lambda e: e[..., :-1].sum(axis=-1, keepdims=True)), "spread x1"),
    "last block left out": (
        softmax_family(sum=lambda e: e[..., : max(1, e.shape[-1] // 64 * 64)].sum(axis=-1, keepdims=True)),
        "every length to 130",
    ),
    "ties counted once": (
        softmax_family(sum=lambda e: np.stack([np.unique(row).sum(keepdims=True) for row in e])),
        "ties",
    ),
    "temperature forgotten": (softmax_family(cold=True), "temperatures"),
    "subnormal results flushed to 0": (
        imposter(lambda _, x, t: np.where((p := peers.shifted("softmax", x.astype(float))) < 1.2e-38, 0, p)),
        "subnormal results",
    ),
    "log without log1p": (softmax_family(), "one clear winner"),
    "NaN": (imposter(lambda function, x, t: peers.shifted(function, x) * np.nan), "spread x1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_seeded_faults_are_found(name):
    wrong, where = FAULTS[name]
    with np.errstate(all="ignore"):
        found = cells(wrong, family(where))
    assert not all(cell.passed for cell in found if cell.function in peers.FUNCTIONS)


def test_the_unfaulted_seed_passes():
    """So that the faults above are found for what they are."""
    found = cells(softmax_family(), family("spread x1"), family("ties"), family("spread x1000"))
    assert all(cell.passed for cell in found if cell.function == "softmax")


def test_the_worst_input_is_named():
    def off_at_three(function, x, temperature):
        p = peers.shifted("softmax", x.astype(np.float64))
        p[1, 3] *= 1.5
        return p

    made = Family("made", lambda f: iter([Case(np.zeros((2, 4), dtype=f.dtype))]), ("softmax",), ("float32",))
    (cell,) = conformance.cells([imposter(off_at_three)], [made])
    assert not cell.passed
    assert cell.ours.where == "row 1 of (2, 4), position 3: got 0.375, exact 0.25"
    assert cell.ours.ulp == pytest.approx(0.125 / 2**-25)


def test_a_result_of_the_wrong_kind_fails():
    one = family("spread x1")
    for compute, loss in (
        (lambda function, x, t: x[:, :1], lambda function, x, t: x[:, :1]),
        (
            lambda function, x, t: peers.shifted(function, x).astype(np.float16),
            lambda function, x, t: losses.composed(peers.shifted)(function, x, t).astype(np.float16),
        ),
    ):
        for cell in cells(peers.Implementation("normexp", "0", compute, loss), one):
            assert cell.ours.ulp == math.inf
            assert "instead of float32" in cell.ours.where


def test_an_implementation_that_raises_or_does_not_offer_it():
    def raises(function, x, temperature_or_target):
        raise RuntimeError("no")

    def unsupported(function, x, temperature):
        raise peers.UnsupportedError("not for this dtype")

    everyone = [
        peers.ours(),
        peers.Implementation("raises", "0", raises, raises),
        peers.Implementation("refuses", "0", unsupported),
    ]
    one = family("spread x1")
    for cell in conformance.cells(everyone, [Family(one.name, one.make, one.functions, ("float32",))]):
        assert cell.passed
        assert cell.worst["raises"].ulp == math.inf
        assert cell.worst["refuses"].ulp is None
        assert cell.document()["max_ulp"]["refuses"] is None
    (cell, *_) = cells(peers.Implementation("normexp", "0", unsupported), one)
    assert not cell.passed


def test_those_who_compile_are_given_every_tenth_length():
    lengths = {"compiles": set(), "does not": set()}

    def compute(name):
        return lambda function, x, t: lengths[name].add(x.shape[1]) or peers.shifted(function, x)

    everyone = [peers.Implementation(name, "0", compute(name), compiles=name == "compiles") for name in lengths]
    one = family("every length to 130")
    for _ in conformance.cells(everyone, [Family(one.name, one.make, ("softmax",), ("float32",))]):
        pass
    assert lengths == {"compiles": set(range(1, 131, 10)), "does not": set(range(1, 131))}


def test_count_is_right():
    few = [family("spread x1"), family("temperatures")]
    assert conformance.count(few) == len(list(conformance.cells([peers.ours()], few))) == (5 + 3) * len(DTYPES)


def test_worst_by_dtype(ours):
    found = cells(ours, family("spread x1"), dtypes=("float32", "float16"))
    worst = conformance.worst_by_dtype(found)
    assert set(worst) == {"float32", "float16"}
    assert 0.3 < worst["float16"] <= 0.51
