"""The inference, flow by flow: what reaches the loss, and what does not."""

from __future__ import annotations

from textwrap import dedent

import pytest

from normexp.check.analysis import analyse
from normexp.check.finding import Finding, Note
from normexp.check.source import Source, parse

HEAD = """
import torch
import torch.nn as nn
import torch.nn.functional as F
"""


def source(code: str, path: str = "x.py") -> Source:
    parsed, notes = parse(dedent(code).encode(), path)
    assert parsed is not None, notes
    return parsed


def findings(*sources: Source) -> list[Finding]:
    found = list(analyse(sources))
    assert not [one for one in found if isinstance(one, Note)]
    return [one for one in found if isinstance(one, Finding)]


def names(code: str) -> list[str]:
    return sorted(one.name for one in findings(source(HEAD + dedent(code))) if one.severity != "info")


DOUBLE = {
    "inline": "F.cross_entropy(F.softmax(x, dim=1), y)",
    "method": "F.cross_entropy(x.softmax(-1), y)",
    "from log": "F.cross_entropy(F.log_softmax(x, dim=1).exp(), y)",
    "reassigned": "x = torch.softmax(x, dim=1)\nF.cross_entropy(x, y)",
    "unpacked": "a, b = x, F.softmax(x, dim=1)\nF.cross_entropy(b, y)",
    "starred": "first, *rest = x, F.softmax(x, 1), 3\nF.cross_entropy(rest[0], y)",
    "dict": "out = {'p': F.softmax(x, dim=1)}\nF.cross_entropy(out['p'], y)",
    "spread": "F.cross_entropy(*(F.softmax(x, 1), y))",
    "keywords": "F.cross_entropy(**{'input': F.softmax(x, 1), 'target': y})",
    "loop": "for i in range(3):\n    p = F.softmax(x, dim=1)\n    F.cross_entropy(p, y)",
    "both branches": "p = F.softmax(x, 1) if c else F.softmax(2 * x, 1)\nF.cross_entropy(p, y)",
    "walrus": "if (p := F.softmax(x, 1)) is not None:\n    F.cross_entropy(p, y)",
    "with": "with torch.no_grad():\n    p = F.softmax(x, 1)\nF.cross_entropy(p, y)",
    "try": "try:\n    p = F.softmax(x, 1)\nexcept ValueError:\n    raise\nF.cross_entropy(p, y)",
    "lambda": "f = lambda v: F.softmax(v, dim=1)\nF.cross_entropy(f(x), y)",
    "default": "def f(v, crit=nn.CrossEntropyLoss()):\n    return crit(F.softmax(v, 1), y)\nf(x)",
    "nested function": "def f():\n    def g(v):\n        return F.cross_entropy(F.softmax(v, 1), y)\n    return g",
    "criteria in a dict": "c = {'ce': nn.CrossEntropyLoss(), 'l1': nn.L1Loss()}\nc[k](F.softmax(x, 1), y)",
    "partial": "import functools\nf = functools.partial(F.softmax, dim=1)\nF.cross_entropy(f(x), y)",
    "sequential": "m = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Softmax(dim=1))\nF.cross_entropy(m(x), y)",
    "layers in a list": "s = [nn.Linear(2, 3)]\ns.append(nn.Softmax(dim=1))\nF.cross_entropy(nn.Sequential(*s)(x), y)",
    "wrapper": "m = nn.DataParallel(nn.Sequential(nn.Linear(2, 3), nn.Softmax(1))).cuda()\nF.cross_entropy(m(x), y)",
    "views": "p = F.softmax(x, dim=2).view(-1, 10)\nF.cross_entropy(p, y.view(-1))",
    "permuted": "p = F.softmax(x, dim=-1).permute(0, 2, 1)\nF.cross_entropy(p, y)",
    "epsilon": "F.cross_entropy(F.softmax(x, 1) + 1e-8, y)",
    "getattr": "getattr(F, 'cross_entropy')(F.softmax(x, 1), y)",
}  # fmt: skip

RIGHT = {
    "target": "F.cross_entropy(x, F.softmax(y, dim=1))",
    "after the loss": "loss = F.cross_entropy(x, y)\nx = F.softmax(x, dim=1)",
    "after the loss, in a loop": "for i in z:\n    x = f(i)\n    F.cross_entropy(x, y)\n    x = F.softmax(x, 1)",
    "one branch": "p = F.softmax(x, 1) if c else x\nF.cross_entropy(p, y)",
    "attention": "a = F.softmax(q @ k, dim=-1)\nF.cross_entropy(a @ v, y)",
    "tuple": "out = (x, F.softmax(x, 1))\nF.cross_entropy(out[0], y)",
    "left out": "use = False\nif use:\n    x = F.softmax(x, 1)\nF.cross_entropy(x, y)",
    "inverted": "F.cross_entropy(1 - F.softmax(x, 1), y)",
    "scaled": "F.cross_entropy(F.softmax(x, 1) * 20, y)",
    "mean squares": "F.mse_loss(F.softmax(x, 1), F.softmax(y, 1))",
    "another F": "import other as F\nF.cross_entropy(F.softmax(x, 1), y)",
    "overwritten": "def F():\n    pass\nF.cross_entropy(F.softmax(x, 1), y)",
    "deleted": "p = F.softmax(x, 1)\np = unknown(p)\nF.cross_entropy(p, y)",
    "kl": "F.kl_div(F.log_softmax(x, 1), F.softmax(y, 1))",
    "kl of two logarithms": "F.kl_div(F.log_softmax(x, 1), F.log_softmax(y, 1), log_target=True)",
    "nll": "F.nll_loss(F.log_softmax(nn.Linear(2, 3)(x), 1), y)",
    "by hand": "z = nn.Linear(2, 3)(x)\nF.nll_loss(z - torch.logsumexp(z, dim=1, keepdim=True), y)",
    "masked with -inf": "F.softmax(x.masked_fill(m, float('-inf')), dim=-1)",
    "masked after": "w = F.softmax(x, dim=-1).masked_fill(m, 0.0)",
    "attention over a sequence": "F.softmax(nn.Linear(8, 1)(x), dim=1)",
    "sum over axis 0": "e = torch.exp(x - x.max())\ne / e.sum(dim=0)",
    "transposed": "e = torch.exp(x - x.max())\n(e.T / e.sum(dim=1)).T",
    "axis put back": "e = torch.exp(x - x.max())\ne / e.sum(dim=1)[:, None]",
}  # fmt: skip


@pytest.mark.parametrize("code", DOUBLE.values(), ids=DOUBLE)
def test_probabilities_reach_the_loss(code: str) -> None:
    assert names(code) == ["double-softmax"]


@pytest.mark.parametrize("code", RIGHT.values(), ids=RIGHT)
def test_right_code_is_silent(code: str) -> None:
    assert names(code) == []


OTHERS = {
    "nll-on-logits": "F.nll_loss(F.relu(nn.Linear(2, 3)(x)), y)",
    "nll-on-probs": "nn.NLLLoss()(F.softmax(x, 1), y)",
    "kl-probs-input": "nn.KLDivLoss()(F.softmax(x, 1), F.softmax(y, 1))",
    "kl-log-target": "nn.KLDivLoss()(F.log_softmax(x, 1), F.log_softmax(y, 1))",
    "sigmoid-into-cross-entropy": "F.cross_entropy(torch.sigmoid(x), y)",
    "double-sigmoid": "nn.BCEWithLogitsLoss()(x.sigmoid(), y)",
    "single-logit-softmax": "F.softmax(nn.Linear(8, 1)(x), dim=-1)",
    "wrong-dim": "F.softmax(nn.Linear(8, 3)(x.view(x.size(0), -1)), dim=0)",
    "keepdims": "e = torch.exp(x - x.max())\np = e / e.sum(dim=1)",
    "mask-fill": "F.softmax(x.masked_fill(m, 1e-9), dim=-1)",
    "log-of-softmax": "torch.log(F.softmax(x, 1) + 1e-9)",
    "naive-exp": "e = x.exp()\np = e / e.sum(1, keepdim=True)",
    "log-sum-exp": "torch.log(torch.exp(x).sum(dim=1))",
}


@pytest.mark.parametrize(("name", "code"), OTHERS.items(), ids=OTHERS)
def test_other_kinds(name: str, code: str) -> None:
    assert names(code) == [name]


def test_a_snippet_without_imports_proves_nothing() -> None:
    snippet = "criterion = nn.CrossEntropyLoss()\nloss = criterion(F.softmax(x, dim=1), y)\n"
    assert findings(source(snippet)) == []


MODEL = """
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, n, normalise=True):
        super().__init__()
        self.fc = nn.Linear(4, n)
        self.normalise = normalise

    def forward(self, x):
        x = self.fc(x)
        {}
"""


@pytest.mark.parametrize(
    ("body", "made", "expected"),
    [
        ("return F.softmax(x, dim=1)", "Net(3)", ["double-softmax"]),
        ("return x if self.training else F.softmax(x, dim=1)", "Net(3)", []),
        ("return F.softmax(x, dim=1) if self.normalise else x", "Net(3)", ["double-softmax"]),
        ("return F.softmax(x, dim=1) if self.normalise else x", "Net(3, False)", []),
        ("return F.softmax(x, dim=1) if self.normalise else x", "Net(3, flag)", []),
    ],
)
def test_a_model_of_another_file(body: str, made: str, expected: list[str]) -> None:
    train = f"""
    from torch.nn import CrossEntropyLoss
    from .net import Net

    def train(model, criterion, x, y):
        return criterion(model(x), y)

    if __name__ == "__main__":
        train({made}, CrossEntropyLoss(), x, y)
    """
    given = [source(MODEL.format(body), "p/net.py"), source(train, "p/train.py")]
    for order in (given, given[::-1]):
        assert [one.name for one in findings(*order)] == expected


def test_the_path_is_told_from_the_origin_on() -> None:
    code = (
        MODEL.format("return F.softmax(x, dim=1)")
        + "\ndef f(x, y):\n    out = Net(3)(x)\n    F.cross_entropy(out, y)\n"
    )
    (finding,) = findings(source(code))
    assert [step.what for step in finding.trace] == ["softmax", "forward", "out", "cross_entropy"]
    lines = code.split("\n")
    assert "F.cross_entropy(out" in lines[finding.line - 1]
    assert "F.softmax" in lines[finding.trace[0].line - 1]


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "+".join(["1"] * 3000),
        "def f(x):\n    return f(f(f(f(x))))\nf(1)",
        "\n".join(f"def f{i}(x):\n    return f{i + 1}(x) + f{i + 1}(x)" for i in range(60)) + "\nf0(1)",
        "x = 9 ** 9 ** 9 ** 9",
        "x = [0] * 10 ** 12",
        "from x import *\nimport x\nx.x.x = x",
        "class A(A): pass\nclass B(A): pass\nA()",
        "def f(*a, **k): return f(*a, **k)\nf(1, *[2], **{'a': 3})",
        "for i in range(10 ** 9):\n    for j in range(10 ** 9):\n        x = i",
    ],
    ids=range(9),
)
def test_hostile_code_ends(code: str) -> None:
    parsed, _ = parse((code + "\n# softmax").encode(), "x.py")
    if parsed is not None:
        assert not [one for one in analyse([parsed]) if isinstance(one, Finding)]
