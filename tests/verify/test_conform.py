"""The suite on one function: it finds what is wrong with it, and nothing where nothing is."""

import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from seeded import ENOUGH, FAULTS, wrong, wrong_logsumexp

import normexp
from normexp.verify import assert_conforms, cases, conform, peers, shrink, subject

SHORT = tuple(one for one in cases.FAMILIES if one.name not in ("rows of 100,000", "a row of 4 million"))
# The same fault is found in a dozen families: a tenth of a second for each, to find a small input, will do here.
SECONDS = 0.1


@pytest.fixture
def short(monkeypatch):
    """All families but the long rows, whose exact values take seconds."""
    monkeypatch.setattr(conform, "FAMILIES", SHORT)
    monkeypatch.setattr(shrink, "_SECONDS", SECONDS)


def family(name):
    return next(one for one in cases.FAMILIES if one.name == name)


def run(function, op="softmax", max_ulp=None, **options):
    chosen = {"dtypes": ["float32"], **options}
    return conform.run(subject.examined(function, op, **chosen), max_ulp, quiet=True)


@pytest.mark.parametrize("name", FAULTS)
def test_seeded_faults_are_found(name, short):
    faults, where = FAULTS[name]
    outcome = run(wrong(**faults), max_ulp=ENOUGH)
    found = {finding.what for finding in outcome.findings}
    assert where in found


def test_without_the_fault_nothing_is_found(short):
    """So that the faults above are found for what they are."""
    outcome = run(wrong(), max_ulp=ENOUGH)
    assert outcome.findings == (), outcome.describe()
    assert 0.49 < outcome.worst["float32"] <= ENOUGH
    assert outcome.checks > len([one for one in SHORT if "softmax" in one.functions])


def test_faults_are_found_where_they_are_and_nowhere_else(short):
    for name in ("NaN dropped by max", "a row of -inf made 0"):
        assert {finding.what for finding in run(wrong(**FAULTS[name][0]), max_ulp=ENOUGH).findings} == {
            "special values"
        }
    forgotten = run(wrong(**FAULTS["temperature forgotten"][0]), max_ulp=ENOUGH).findings
    assert {finding.what for finding in forgotten} == {"temperatures"}


def test_ties_counted_once_in_a_logsumexp(short):
    outcome = run(wrong_logsumexp, "logsumexp")
    assert "ties" in {finding.what for finding in outcome.findings}
    finding = next(one for one in outcome.findings if one.what == "ties")
    assert "smallest: logsumexp([[" in finding.smallest
    # Two equal logits show it.
    assert ", row 0 of (1, 2): got" in finding.smallest


def test_the_finding_says_what_and_where(short):
    def off(x):
        return np.asarray(normexp.softmax(x) * np.where(np.asarray(x) == 3.0, x.dtype.type(1.5), x.dtype.type(1)))

    only = replace(family("ties"), make=lambda f: iter([f.case(np.array([[7.0, 3.0, 1.0], [0.0, 1.0, 2.0]]))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conform, "FAMILIES", (only,))
        (finding,) = run(off).findings
    assert finding.dtype == "float32"
    assert finding.what == "ties"
    assert finding.bound == 1.0
    assert "row 0 of (2, 3), position 1: got " in finding.where
    # One number alone has a softmax of 1, or 1.5.
    assert finding.smallest.startswith("smallest: softmax([[3.0]]), row 0 of (1, 1), position 0: got 1.5, exact 1 (")
    lines = str(finding).splitlines()
    assert lines[0].startswith("float32, ties: ")
    assert lines[0].endswith(" ULP (allowed: 1)")
    assert len(lines) == 3


def naive(x):
    return peers.naive(x)


def test_naive_code_overflows_to_nan(short):
    found = {finding.what: finding for finding in run(naive).findings}
    assert math.isinf(found["spread x1000"].ulp)
    assert "got nan" in found["spread x1000"].where
    assert "wrong" in str(found["spread x1000"])


@pytest.mark.parametrize("package", ["scipy", "torch"])
def test_known_faults_of_the_peers(package, short):
    pytest.importorskip(package)
    if package == "scipy":
        from scipy.special import log_softmax, logsumexp, softmax
    else:
        from torch import log_softmax, logsumexp, softmax
    # 20 units and more at a spread of 5.
    found = {finding.what: finding for finding in run(softmax).findings}
    assert found["every length to 130"].ulp > 10
    assert found["spread x10"].ulp > 20
    # log_softmax near 0 is 0.
    found = {finding.what: finding for finding in run(log_softmax, "log_softmax").findings}
    assert found["one clear winner"].ulp > 1e6
    assert "got -0.0, exact -" in found["one clear winner"].where.replace("got 0.0", "got -0.0")
    # logsumexp(zeros(65536)) is infinite in float16.
    found = {finding.what: finding for finding in run(logsumexp, "logsumexp", dtypes=["float16"]).findings}
    assert "row 0 of (1, 70000): got inf, exact 11.156" in found["ties"].where


def test_uint8_wraps_around_in_scipy(short):
    special = pytest.importorskip("scipy.special")
    found = [one.where for one in run(special.softmax, dtypes=None).findings if one.dtype == "uint8"]
    assert len(found) == 1
    assert "nan" in found[0]


def test_long_sums_of_pytorch_are_off(monkeypatch):
    """By 1e-3: more than ten thousand units."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(conform, "FAMILIES", (family("a row of 4 million"),))
    monkeypatch.setattr(shrink, "_SECONDS", SECONDS)
    found = {finding.what: finding for finding in run(torch.softmax).findings}
    assert found["a row of 4 million"].ulp > 5e-4 * 2**23
    # Too long to be written down.
    assert "smallest: softmax(<1 x " in found["a row of 4 million"].smallest


OURS = {name: getattr(normexp, name) for name in peers.FUNCTIONS} | {
    "cross_entropy": lambda logits, labels, reduction="none", ignore_index=-100: normexp.cross_entropy(
        logits, labels, reduction=reduction, ignore_index=ignore_index
    ),
    "cross_entropy_grad": lambda logits, labels, reduction="none", ignore_index=-100: (
        normexp.cross_entropy_and_grad(logits, labels, reduction=reduction, ignore_index=ignore_index).grad
    ),
}


@pytest.mark.parametrize("op", subject.OPS)
def test_normexp_passes(op, short):
    outcome = conform.run(subject.examined(OURS[op], op), quiet=True)
    assert outcome.findings == (), outcome.describe()
    assert outcome.subject.dtypes == tuple(cases.DTYPES)
    assert outcome.subject.refused == {}
    assert all(0.3 < error <= bound for error, bound in zip(outcome.worst.values(), (1, 2, 0.51, 0.51), strict=True))


def test_normexp_passes_behind_pytorch(short):
    """Tensors in and out, the gradient by autograd."""
    nxt = pytest.importorskip("normexp.torch")

    for op, function in (("log_softmax", nxt.log_softmax), ("cross_entropy_grad", nxt.cross_entropy)):
        outcome = run(function, op, arrays="torch", dtypes=["float32"])
        assert outcome.findings == (), outcome.describe()


def test_the_bound_can_be_chosen(short):
    findings = run(wrong(), max_ulp=0.1).findings
    assert len(findings) > 10
    assert all(finding.bound == 0.1 < finding.ulp for finding in findings)


def test_the_wrong_dtype_or_shape_is_found(short):
    for function, said in (
        (lambda x: normexp.softmax(x).astype(np.float64), "float64(8, 10) instead of float32(8, 10)"),
        (lambda x: normexp.softmax(x)[:1], "instead of float32(8, 10)"),
    ):
        outcome = conform.run(subject.examined(function, "softmax", dtypes=["float32", "float64"]), quiet=True)
        finding = next(one for one in outcome.findings if one.what == "spread x1")
        assert said in finding.where
        assert math.isinf(finding.ulp)


def test_what_raises_is_found(short):
    def only_short_rows(x):
        if x.shape[-1] > 100:
            raise MemoryError("too long")
        return wrong()(x)

    found = {finding.what: finding for finding in run(only_short_rows).findings}
    assert "raised MemoryError('too long')" in found["spread x1"].where
    assert "smallest: softmax(<1 x 101>)" in found["every length to 130"].smallest


def test_what_writes_into_its_input_is_found(short):
    def in_place(x):
        x -= 1
        return normexp.softmax(x)

    outcome = run(in_place, dtypes=["float32"])
    assert all(
        "wrote into its input" in finding.where for finding in outcome.findings if finding.what != "special values"
    )
    assert len(outcome.findings) > 10


def test_the_document(short):
    document = run(naive, dtypes=["float32"]).document()
    assert document["name"] == "naive"
    assert document["op"] == "softmax"
    assert document["arrays"] == "numpy"
    assert document["dtypes"] == ["float32"]
    assert document["passed"] is False
    assert {"dtype", "what", "ulp", "bound", "where", "smallest"} == set(document["findings"][0])


def test_assert_conforms_raises_with_the_first_findings(short):
    with pytest.raises(AssertionError) as raised:
        assert_conforms(naive, dtypes=["float32"])
    said = str(raised.value)
    assert said.startswith("naive fails ")
    assert said.count("allowed: 1") + said.count(": wrong") == 5
    assert said.splitlines()[-1].endswith(" more")


def test_assert_conforms_is_content_with_what_is_right(short):
    assert_conforms(wrong(), dtypes=["float32"])
    assert_conforms(OURS["cross_entropy"], "cross_entropy", arrays="numpy", dtypes=["bfloat16"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"op": "softplus"}, "op must be of softmax, log_softmax, .*, not 'softplus'"),
        ({"arrays": "cupy"}, "arrays must be of numpy, torch, jax, not 'cupy'"),
        ({"dtypes": ["float8"]}, "dtypes must be of float32, float64, float16, bfloat16, not 'float8'"),
    ],
)
def test_assert_conforms_says_what_it_knows(options, message):
    with pytest.raises(ValueError, match=message):
        assert_conforms(naive, **options)


def test_bfloat16_is_tried_in_its_own_arrays(short):
    seen = set()

    def look(x):
        seen.add(x.dtype)
        return normexp.softmax(x)

    assert_conforms(look, dtypes=["bfloat16"])
    assert np.dtype(ml_dtypes.bfloat16) in seen
