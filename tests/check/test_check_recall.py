"""Forms that real code takes between a softmax and a loss, each as short as it can be, and correct ones beside them."""

from __future__ import annotations

import pytest

from normexp.check.analysis import analyse
from normexp.check.finding import Finding
from normexp.check.source import parse

HEAD = """import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.fc = nn.Linear(4, n)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
"""

WRONG = {
    "normalised by hand": (
        "double-softmax",
        """
def loss(x, mask, y):
    p = torch.softmax(x, dim=-1) * mask
    p = p / p.sum(dim=-1, keepdim=True)
    return F.cross_entropy(p, y)
""",
    ),
    "normalised by hand with epsilon": (
        "double-softmax",
        """
def loss(x, y):
    p = torch.exp(x - x.max())
    p = p / (p.sum(dim=1, keepdim=True) + 1e-12)
    return F.cross_entropy(p, y)
""",
    ),
    "normalised in place": (
        "nll-on-probs",
        """
def loss(x, y):
    p = torch.sigmoid(x)
    p /= p.sum(1, keepdim=True)
    return F.nll_loss(p, y)
""",
    ),
    "softmax of log_softmax": (
        "double-softmax",
        "def loss(x, y): return F.cross_entropy(F.softmax(F.log_softmax(x, 1), 1), y)",
    ),
    "default criterion": (
        "double-softmax",
        """
def train(model, x, y, criterion=nn.CrossEntropyLoss()):
    return criterion(model(x), y)
train(Net(), a, b)
""",
    ),
    "default criterion of a class": (
        "double-softmax",
        """
class Trainer:
    def __init__(self, model, loss_fn=F.cross_entropy):
        self.model, self.loss_fn = model, loss_fn
    def step(self, x, y):
        return self.loss_fn(self.model(x), y)
Trainer(Net()).step(a, b)
""",
    ),
    "default criterion by or": (
        "double-softmax",
        """
class Trainer:
    def __init__(self, model, loss_fn=None):
        self.model = model
        self.loss_fn = loss_fn or nn.CrossEntropyLoss()
    def step(self, x, y):
        return self.loss_fn(self.model(x), y)
Trainer(Net())
""",
    ),
    "default criterion if None": (
        "double-softmax",
        """
def train(model, x, y, criterion=None):
    if criterion is None:
        criterion = nn.CrossEntropyLoss()
    return criterion(model(x), y)
def main():
    return train(Net(), a, b)
""",
    ),
    "criteria in a dict": (
        "double-softmax",
        """
LOSSES = {"ce": nn.CrossEntropyLoss, "mse": nn.MSELoss}
def train(x, y):
    criterion = LOSSES["ce"]()
    return criterion(Net()(x), y)
""",
    ),
    "criterion from a configuration": (
        "double-softmax",
        """
config = dict(model=Net, criterion=nn.CrossEntropyLoss(), lr=0.1)
def train(x, y):
    model = config["model"]()
    return config["criterion"](model(x), y)
""",
    ),
    "criterion of unknown key": (
        "double-softmax",
        """
def train(x, y, name):
    criterion = {"ce": nn.CrossEntropyLoss(), "mse": nn.MSELoss()}[name]
    return criterion(Net()(x), y)
""",
    ),
    "criterion by name": (
        "double-softmax",
        """
def make(name):
    if name == "ce":
        return nn.CrossEntropyLoss()
    elif name == "mse":
        return nn.MSELoss()
    raise ValueError(name)
def train(x, y, args):
    criterion = make(args.loss)
    return criterion(Net()(x), y)
""",
    ),
    "moved in a branch": (
        "double-softmax",
        """
def train(x, y):
    model = Net()
    criterion = nn.CrossEntropyLoss()
    if torch.cuda.is_available():
        model = model.cuda()
        criterion = criterion.cuda()
    return criterion(model(x), y)
""",
    ),
    "wrapped in a branch": (
        "double-softmax",
        """
def train(x, y, gpus):
    model = Net()
    if len(gpus) > 1:
        model = nn.DataParallel(model, gpus)
    return F.cross_entropy(model(x), y)
""",
    ),
    "aliases": (
        "double-softmax",
        """
import torch.nn.functional as functional
from torch.nn import functional as fn
from torch.nn.functional import softmax as sm, cross_entropy as xent
def loss(x, y): return xent(sm(fn.relu(x), dim=1), y)
""",
    ),
    "alias of a function": (
        "double-softmax",
        """
activation = F.softmax
objective = nn.functional.cross_entropy
def loss(x, y): return objective(activation(x, dim=1), y)
""",
    ),
    "by the full name": (
        "double-softmax",
        "def loss(x, y): return torch.nn.functional.cross_entropy(torch.nn.functional.softmax(x, dim=1), y)",
    ),
    "explicit forward": (
        "double-softmax",
        "def loss(x, y): return nn.CrossEntropyLoss().forward(Net().forward(x), y)",
    ),
    "made and called at once": (
        "double-softmax",
        "def loss(x, y): return nn.CrossEntropyLoss()(nn.Softmax(dim=1)(x), y)",
    ),
    "class in a function": (
        "double-softmax",
        """
def build(k):
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, k)
        def forward(self, x):
            return torch.softmax(self.fc(x), -1)
    return Inner()
def train(x, y):
    return F.cross_entropy(build(3)(x), y)
""",
    ),
    "boolean mask": (
        "double-softmax",
        """
def loss(x, y, mask):
    p = F.softmax(x, dim=-1)
    return F.cross_entropy(p[mask], y[mask])
""",
    ),
    "comparison as mask": (
        "double-softmax",
        """
def loss(x, y):
    p = F.softmax(x, dim=-1)
    keep = y != -1
    return F.cross_entropy(p[keep], y[keep])
""",
    ),
    "squeeze": (
        "double-softmax",
        """
def loss(x, y):
    p = F.softmax(x, dim=-1)
    return F.cross_entropy(p.squeeze(), y.squeeze(0))
""",
    ),
    "slice of rows": (
        "double-softmax",
        """
def loss(x, y, n):
    p = F.softmax(x, dim=1)
    return F.cross_entropy(p[:n], y[:n])
""",
    ),
    "shifted tokens": (
        "double-softmax",
        """
def loss(x, y):
    p = F.softmax(x, dim=-1)
    p = p[:, :-1, :].contiguous()
    return F.cross_entropy(p.view(-1, p.size(-1)), y[:, 1:].reshape(-1))
""",
    ),
    "last of a sequence": (
        "double-softmax",
        """
def loss(x, y):
    p = F.softmax(x, dim=-1)
    return F.cross_entropy(p[:, -1, :], y)
""",
    ),
    "heads of an ACGAN": (
        "double-softmax",
        """
class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, 9), nn.ReLU())
        self.adv = nn.Sequential(nn.Linear(9, 1), nn.Sigmoid())
        self.aux = nn.Sequential(nn.Linear(9, 10), nn.Softmax(dim=1))
    def forward(self, x):
        h = self.features(x)
        return self.adv(h), self.aux(h)
d = D()
adversarial, auxiliary = nn.BCELoss(), nn.CrossEntropyLoss()
def step(x, valid, labels):
    validity, label = d(x)
    return (adversarial(validity, valid) + auxiliary(label, labels)) / 2
""",
    ),
    "two criteria on a line": (
        "double-sigmoid",
        """
bce, mse = nn.BCEWithLogitsLoss(), nn.MSELoss()
def step(x, y):
    p = torch.sigmoid(nn.Linear(3, 1)(x))
    loss = 0.5 * bce(p, y) + 0.5 * mse(p, y)
    return loss
""",
    ),
    "symmetric divergence": (
        "kl-probs-input",
        """
def loss(a, b):
    p, q = F.softmax(a, dim=1), F.softmax(b, dim=1)
    return F.kl_div(p, q) + 1
""",
    ),
    "logarithm in the target": (
        "kl-log-target",
        """
def loss(a, b):
    p, q = F.log_softmax(a, dim=1), F.log_softmax(b, dim=1)
    return F.kl_div(p, q.exp()) + F.kl_div(q, p, reduction="batchmean")
""",
    ),
    "skorch": (
        "double-softmax",
        """
from skorch import NeuralNetClassifier
net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=3)
""",
    ),
    "head of a zoo with a sigmoid": (
        "sigmoid-into-cross-entropy",
        """
from torchvision import models
def train(x, y):
    model = models.resnet18(weights=None)
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, 9), nn.ReLU(), nn.Linear(9, 2), nn.Sigmoid())
    return nn.CrossEntropyLoss()(model(x), y)
""",
    ),
    "head of a zoo with a softmax": (
        "double-softmax",
        """
import torchvision
model = torchvision.models.vgg16(pretrained=True)
model.classifier[6] = nn.Sequential(nn.Linear(4096, 5), nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()
def step(x, y): return criterion(model(x), y)
""",
    ),
    "backbone in a module": (
        "double-softmax",
        """
import torchvision.models as models
class Model(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.net = models.resnet50()
        self.net.fc = nn.Sequential(nn.Linear(2048, n), nn.Softmax(dim=-1))
    def forward(self, x): return self.net(x)
def train(x, y): return nn.CrossEntropyLoss()(Model(3)(x), y)
""",
    ),
    "masked_fill dropped": (
        "mask-fill",
        """
def attend(s, mask):
    s.masked_fill(mask == 0, -1e9)
    return F.softmax(s, dim=-1)
""",
    ),
    "sign of the fill lost": (
        "mask-fill",
        """
def attend(q, k, mask=None):
    s = torch.matmul(q, k.transpose(-2, -1)) / 8
    if mask is not None:
        s = s.masked_fill(mask == 0, 1e-9)
    return F.softmax(s, dim=-1)
""",
    ),
    "filled by where": (
        "mask-fill",
        """
def attend(s, mask):
    s = torch.where(mask, s, torch.zeros_like(s))
    return torch.softmax(s, dim=-1)
""",
    ),
    "filled with 0 by a name": (
        "mask-fill",
        """
NEG = 0
def attend(s, mask):
    s = s.masked_fill(~mask, NEG)
    return s.softmax(-1)
""",
    ),
    "divided by a function": (
        "naive-exp",
        """
def softmax(x):
    return torch.div(torch.exp(x), torch.sum(torch.exp(x), dim=1, keepdim=True))
""",
    ),
    "list of outputs": (
        "double-softmax",
        """
def loss(xs, y):
    outs = []
    for x in xs:
        outs.append(F.softmax(x, dim=1))
    return sum(F.cross_entropy(o, y) for o in outs)
""",
    ),
    "outputs in a dict": (
        "double-softmax",
        """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
    def forward(self, x):
        out = {}
        out["pred"] = self.fc(x).softmax(dim=-1)
        return out
def step(x, y): return F.cross_entropy(M()(x)["pred"], y)
""",
    ),
    "static loss of a class": (
        "double-softmax",
        """
class Loss(nn.Module):
    def __init__(self, weight=None):
        super().__init__()
        self.ce = nn.CrossEntropyLoss(weight=weight)
    def forward(self, inputs, targets):
        inputs = torch.softmax(inputs, dim=1)
        return self.ce(inputs, targets)
""",
    ),
    "loss derived from a criterion": (
        "double-softmax",
        """
class Loss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        return super().forward(F.softmax(input, dim=1), target)
""",
    ),
    "activation by a table": (
        "double-softmax",
        """
ACT = {"softmax": nn.Softmax(dim=1), "relu": nn.ReLU()}
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.act = ACT["softmax"]
    def forward(self, x): return self.act(self.fc(x))
def step(x, y): return F.cross_entropy(M()(x), y)
""",
    ),
    "lambda": (
        "double-softmax",
        """
head = lambda x: F.softmax(x, dim=1)
def step(x, y): return F.cross_entropy(head(x), y)
""",
    ),
    "half of the batch": (
        "double-softmax",
        """
def step(a, b, y):
    p = F.softmax(torch.cat([a, b], 0), dim=1)
    p1, p2 = p.chunk(2)
    return F.cross_entropy(p1, y)
""",
    ),
    "einsum left alone, mean over views": (
        "double-softmax",
        """
def step(x, y):
    p = F.softmax(x, dim=2).mean(dim=1)
    return F.cross_entropy(p, y)
""",
    ),
    "model said by its annotation": (
        "double-softmax",
        """
def train(model: Net, x, y, criterion: nn.CrossEntropyLoss):
    return criterion(model(x), y)
""",
    ),
    "scaled after the fill": (
        "mask-fill",
        """
def attend(s, mask):
    s = s.masked_fill(mask, 1e-9)
    s = s / 8.0
    return torch.softmax(s, dim=-1)
""",
    ),
    "items of a ModuleDict": (
        "double-softmax",
        """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({"a": nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))})
    def forward(self, x): return {k: h(x) for k, h in self.heads.items()}
def step(x, y): return F.cross_entropy(M()(x)["a"], y)
""",
    ),
    "numpy keepdims": (
        "keepdims",
        """
import numpy as np
def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=1)
""",
    ),
}

RIGHT = {
    "weights normalised for attention": """
def attend(x, v, mask):
    w = torch.exp(x - x.max()) * mask
    w = w / (w.sum(dim=-1, keepdim=True) + 1e-8)
    return w @ v
""",
    "rows scaled to the unit sum, then a layer": """
layer = nn.Linear(3, 3)
def loss(x, y):
    x = x / x.sum(dim=1, keepdim=True)
    return F.cross_entropy(layer(x), y)
""",
    "soft labels as target": """
def loss(x, t, y):
    q = F.softmax(t, dim=1) ** 2
    q = q / q.sum(dim=1, keepdim=True)
    return F.cross_entropy(x, q)
""",
    "criterion that may be another": """
def train(x, y, criterion=nn.MSELoss()):
    return criterion(Net()(x), y)
train(a, b)
""",
    "scores normalised by a batch sum": """
def loss(x, y):
    e = torch.exp(x)
    return F.cross_entropy(x / x.sum(), y) + e.mean()
""",
    "logarithm of the renormalised": """
def loss(x, mask, y):
    p = F.softmax(x, dim=1) * mask
    p = p / p.sum(dim=1, keepdim=True)
    return F.nll_loss(torch.log(p), y)
""",
    "mixed heads of attention": """
class Talking(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.mix = nn.Conv2d(heads, heads, 1)
    def forward(self, q, k):
        return self.mix(q @ k.transpose(-2, -1)).softmax(dim=-1)
""",
    "ignored pixels, whole": """
def loss(x, keep, y):
    x = x.masked_fill(~keep, 0.0)
    return -(x.log_softmax(1).gather(1, y) * keep).mean()
""",
    "window of a Gaussian": """
def window(size, sigma):
    x = torch.linspace(-1, 1, size)
    w = torch.exp(-0.5 * (x / sigma) ** 2)
    return w / w.sum()
""",
    "shifted in place": """
def lse(logits):
    logits.sub_(logits.amax(dim=1, keepdim=True))
    return logits.exp_().sum(dim=1).log_()
""",
    "where that keeps zeros out of the softmax": """
def step(x, mask):
    p = torch.softmax(x, dim=-1)
    return torch.where(mask, p, torch.zeros_like(p))
""",
    "difference of two distributions": """
def step(a, b, y):
    d = F.softmax(a, dim=1) - F.softmax(b, dim=1)
    return F.cross_entropy(d, y)
""",
    "logits halved": """
def step(x, y):
    a, b = nn.Linear(3, 6)(x).chunk(2, dim=1)
    return F.cross_entropy(a, y) + F.nll_loss(F.log_softmax(b, dim=1), y)
""",
}


def findings(text: str) -> list[Finding]:
    source, notes = parse(text.encode(), "a.py")
    assert source is not None, notes
    return [one for one in analyse([source]) if isinstance(one, Finding) and one.severity != "info"]


@pytest.mark.parametrize("name", WRONG)
def test_found(name: str) -> None:
    kind, body = WRONG[name]
    assert kind in [one.name for one in findings(HEAD + body)]


@pytest.mark.parametrize("name", RIGHT)
def test_silent(name: str) -> None:
    assert [(one.line, one.name) for one in findings(HEAD + RIGHT[name])] == []


def test_file_that_takes_too_long_is_noted() -> None:
    calls = "".join(f"    f(data, {n})\n" for n in range(3000))
    body = f"data = [{','.join(map(str, range(40_000)))}]\ndef f(x, y): return F.cross_entropy(x, y)\n"
    source, _ = parse(
        (HEAD + body + "def main():\n    while go():\n" + calls.replace("    ", " " * 8)).encode(), "a.py"
    )
    assert source is not None
    notes = [one for one in analyse([source]) if not isinstance(one, Finding)]
    assert [(note.path, note.message.partition(":")[0]) for note in notes] == [
        ("a.py", "takes too long to be followed everywhere")
    ]


def test_what_objects_have_in_common_is_followed_for_those_that_differ() -> None:
    base = parse(
        b"""
class Trainer:
    def __init__(self, model, loss):
        self.model, self.loss = model, loss
    def step(self, x, y):
        return self.loss(self.model(x), y)
""",
        "base.py",
    )[0]
    main = parse(
        (
            HEAD
            + """
from base import Trainer
Trainer(nn.Linear(2, 2), nn.MSELoss()).step(a, b)
Trainer(Net(), nn.CrossEntropyLoss()).step(a, b)
"""
        ).encode(),
        "main.py",
    )[0]
    assert base is not None
    assert main is not None
    found = [one for one in analyse([base, main]) if isinstance(one, Finding)]
    assert [(one.path, one.line, one.name) for one in found] == [("base.py", 6, "double-softmax")]


def test_values_of_topk_need_their_softmax() -> None:
    text = HEAD + "def route(x):\n    p, chosen = torch.topk(F.softmax(x, dim=-1), 2)\n    return p, chosen\n"
    source, _ = parse(text.encode(), "a.py")
    assert source is not None
    assert list(analyse([source])) == []
