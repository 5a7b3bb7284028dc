"""Small programs: the ways on which probabilities really reach a loss, and those on which they do not."""

from __future__ import annotations

import pytest

from normexp.check.analysis import analyse
from normexp.check.finding import Finding
from normexp.check.source import parse

WRONG_HEAD = """import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, n=3):
        super(Net, self).__init__()
        self.fc = nn.Linear(4, n)
        self.act = nn.Softmax(dim=1)
    def forward(self, x):
        return self.act(self.fc(x))
"""

WRONG = {
    "lightning": """
import pytorch_lightning as pl
class L(pl.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.loss = nn.CrossEntropyLoss()
    def forward(self, x): return self.model(x)
    def training_step(self, batch, i):
        x, y = batch
        return self._step(x, y)
    def _step(self, x, y):
        out = self(x)
        return self.loss(out, y)
L(Net())
""",
    "ignite": """
from ignite.engine import create_supervised_trainer
create_supervised_trainer(Net(), opt, nn.CrossEntropyLoss())
""",
    "ddp": """
from torch.nn.parallel import DistributedDataParallel as DDP
m = DDP(Net().cuda(), device_ids=[0])
F.cross_entropy(m(x), y)
""",
    "ordered": """
from collections import OrderedDict
m = nn.Sequential(OrderedDict([('a', nn.Linear(2,3)), ('s', nn.Softmax(dim=1))]))
F.cross_entropy(m(x), y)
""",
    "forward": """
n = Net(); c = nn.CrossEntropyLoss()
c.forward(n.forward(x), y)
""",
    "closure": """
def train():
    model = Net(); crit = nn.CrossEntropyLoss()
    opt = torch.optim.LBFGS(model.parameters())
    def closure():
        loss = crit(model(x), y); loss.backward(); return loss
    opt.step(closure)
""",
    "alias": """
loss_fn = F.cross_entropy
loss_fn(input=Net()(x), target=y)
""",
    "dictreturn": """
class M(Net):
    def forward(self, x):
        p = super().forward(x)
        return {'probs': p, 'h': x}
F.cross_entropy(M()(x)['probs'], y)
""",
    "namedtuple": """
from typing import NamedTuple
class Out(NamedTuple):
    probs: torch.Tensor
    h: torch.Tensor
class M(Net):
    def forward(self, x):
        return Out(super().forward(x), x)
F.cross_entropy(M()(x).probs, y)
""",
    "dataclass": """
from dataclasses import dataclass
@dataclass
class Out:
    probs: torch.Tensor
    h: torch.Tensor = None
def f(x):
    return Out(probs=F.softmax(x, dim=1))
o = f(x)
F.cross_entropy(o.probs, y)
""",
    "namedtuple2": """
from collections import namedtuple
Out = namedtuple('Out', ['p', 'h'])
o = Out(F.softmax(x, dim=1), x)
F.cross_entropy(o.p, y)
""",
    "myloss": """
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.ce = nn.CrossEntropyLoss()
    def forward(self, out, y):
        return self.ce(out, y) + 1
l = Loss(); l(Net()(x), y)
""",
    "subce": """
class Loss(nn.CrossEntropyLoss):
    def forward(self, out, y):
        return super().forward(out, y) + 1
l = Loss(); l(Net()(x), y)
""",
    "subseq": """
class N(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2,3), nn.Softmax(dim=1))
nn.CrossEntropyLoss()(N()(x), y)
""",
    "modulelist": """
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2,3), nn.ReLU(), nn.Linear(3,3)])
        self.layers.append(nn.Softmax(dim=1))
    def forward(self, x):
        for l in self.layers:
            x = l(x)
        return x
nn.CrossEntropyLoss()(N()(x), y)
""",
    "moduledict": """
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({'a': nn.Linear(2,3), 's': nn.Softmax(dim=1)})
    def forward(self, x):
        return self.layers['s'](self.layers['a'](x))
nn.CrossEntropyLoss()(N()(x), y)
""",
    "accelerate": """
from accelerate import Accelerator
acc = Accelerator()
model, opt, loader = acc.prepare(Net(), opt, loader)
for x, y in loader:
    loss = F.cross_entropy(model(x), y)
""",
    "compile": """
m = torch.compile(Net()); F.cross_entropy(m(x), y)
""",
    "script": """
m = torch.jit.script(Net()); F.cross_entropy(m(x), y)
""",
    "trainer": """
class Trainer:
    def __init__(self, model, optimizer, criterion=None):
        self.model = model.to('cuda')
        self.criterion = criterion or nn.CrossEntropyLoss()
    def fit(self, loader):
        for epoch in range(10):
            for x, y in loader:
                out = self.model(x)
                loss = self.criterion(out, y)
def main():
    t = Trainer(Net(), None)
    t.fit(1)
if __name__ == '__main__':
    main()
""",
    "generic init": """
class Trainer:
    def __init__(self, args):
        self.args = args
        self.build()
    def build(self):
        self.model = Net()
        if self.args.cuda: self.model = nn.DataParallel(self.model)
        self.criterion = nn.CrossEntropyLoss().to(self.args.device)
    def train(self):
        for i, batch in enumerate(self.loader):
            x, y = batch
            out = self.model(x)
            loss = self.criterion(out, y)
""",
    "factory": """
def get_model(name):
    if name == 'a':
        return Net(3)
    elif name == 'b':
        return Net(4)
    raise ValueError
def get_loss(name):
    losses = {'ce': nn.CrossEntropyLoss, 'bce': nn.BCELoss}
    return losses[name]()
def main(args):
    model = get_model(args.m)
    crit = get_loss(args.l)
    loss = crit(model(x), y)
""",
    "inside main": """
if __name__ == '__main__':
    class P(nn.Module):
        def __init__(self):
            super().__init__(); self.l = nn.Linear(2, 3)
        def forward(self, x): return torch.softmax(self.l(x), -1)
    p = P(); c = nn.CrossEntropyLoss()
    for e in range(100):
        out = p(x)
        loss = c(out, y)
""",
    "across methods": """
class A:
    def __init__(self):
        self.net = Net(); self.c = nn.CrossEntropyLoss()
    def forward(self, x):
        self.pred = self.net(x)
    def backward(self, y):
        self.loss = self.c(self.pred, y)
    def optimize(self):
        self.forward(x); self.backward(y)
""",
    "across methods no caller": """
class A:
    def __init__(self):
        self.net = Net(); self.c = nn.CrossEntropyLoss()
    def compute_loss(self, y):
        self.loss = self.c(self.pred, y)
    def run(self, x):
        self.pred = self.net(x)
""",
    "list of losses": """
outs = [Net()(x) for _ in range(3)]
loss = sum(F.cross_entropy(o, y) for o in outs)
""",
    "zip": """
for o, t in zip([Net()(x), Net()(x)], ts):
    F.cross_entropy(o, t)
""",
    "bmm": """
p = F.softmax(x, dim=1); F.cross_entropy(p.unsqueeze(2).squeeze(), y)
""",
    "rnn": """
class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True); self.fc = nn.Linear(4, 2); self.softmax = nn.Softmax(dim=1)
    def forward(self, x):
        out, (h, c) = self.rnn(x)
        out = self.fc(out[:, -1, :])
        return self.softmax(out)
m = R(); c = nn.CrossEntropyLoss()
for e in range(3):
    for i, (a, b) in enumerate(loader):
        outputs = m(a.to(device))
        loss = c(outputs, b)
""",
    "tuple hidden": """
class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4); self.fc = nn.Linear(4, 2)
    def forward(self, x, h):
        out, h = self.rnn(x, h)
        out = F.softmax(self.fc(out.view(-1, 4)), dim=1)
        return out, h
m = R(); c = nn.CrossEntropyLoss()
out, hidden = m(x, h)
loss = c(out, y)
loss = c(m(x, h)[0], y)
""",
    "conditional attr": """
class R(nn.Module):
    def __init__(self, act='softmax'):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        if act == 'softmax':
            self.act = nn.Softmax(dim=1)
        else:
            self.act = nn.Identity()
    def forward(self, x): return self.act(self.fc(x))
F.cross_entropy(R()(x), y)
""",
    "torchvision": """
from torchvision import models
m = models.resnet18(pretrained=True)
m.fc = nn.Sequential(nn.Linear(m.fc.in_features, 3), nn.Softmax(dim=1))
m = m.to(d)
F.cross_entropy(m(x), y)
""",
    "param model": """
def train(model, loader, epochs):
    criterion = nn.CrossEntropyLoss()
    for e in range(epochs):
        for images, labels in loader:
            logits = model(images)
            loss = criterion(logits, labels)
model = Net()
train(model, l, 3)
""",
    "static": """
class U:
    @staticmethod
    def loss(o, y): return F.cross_entropy(o, y)
    @classmethod
    def go(cls, x, y): return cls.loss(F.softmax(x, 1), y)
""",
    "fastai": """
from fastai.vision.all import *
learn = Learner(dls, Net(), loss_func=nn.CrossEntropyLoss())
""",
    "skorch": """
from skorch import NeuralNetClassifier
net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=3)
""",
    "poutyne": """
from poutyne import Model
m = Model(Net(), 'adam', 'cross_entropy')
""",
    "squeeze": """
out = F.softmax(x, dim=1).squeeze()
F.cross_entropy(out, y)
""",
    "unsq": """
out = F.softmax(x, dim=0)
F.cross_entropy(out.unsqueeze(0), y)
""",
    "flatten lin": """
p = torch.log(torch.exp(F.log_softmax(x, 1)))
q = F.softmax(x, 1)
for i in range(3):
    q = q.clone()
F.cross_entropy(q.contiguous().view(q.size(0), -1), y)
""",
    "cat": """
o = torch.cat([F.softmax(a, 1), F.softmax(b, 1)], dim=0); F.cross_entropy(o, y)
""",
    "ternary loss": """
crit = nn.CrossEntropyLoss() if n > 2 else nn.BCELoss()
crit(Net()(x), y)
""",
    "var wrapper": """
from torch.autograd import Variable
o = Net()(Variable(x)); l = nn.CrossEntropyLoss()(o, Variable(y))
""",
    "self.model list": """
class T(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for i in range(3):
            layers += [nn.Linear(2, 2), nn.ReLU()]
        layers.append(nn.Softmax(dim=-1))
        self.net = nn.Sequential(*layers)
    def forward(self, x): return self.net(x)
    def loss(self, x, y): return F.cross_entropy(self(x), y)
""",
    "abstract": """
class Base(nn.Module):
    def loss(self, x, y):
        return F.cross_entropy(self.predict(x), y)
    def predict(self, x): raise NotImplementedError
class D(Base):
    def predict(self, x): return F.softmax(x, dim=1)
""",
}

RIGHT_HEAD = """import torch
import torch.nn as nn
import torch.nn.functional as F
import numpy as np
class Net(nn.Module):
    def __init__(self, n=3):
        super(Net, self).__init__()
        self.fc = nn.Linear(4, n)
        self.act = nn.Softmax(dim=1)
    def forward(self, x):
        return self.fc(x)
"""

RIGHT = {
    "inner": """
class S(nn.Module):
    def __init__(self, n):
        super().__init__(); self.inner = n
    def forward(self, x): return F.softmax(self.inner(x), 1)
s = S(Net()); F.cross_entropy(s.inner(x), y); p = s(x)
""",
    "eval flag": """
class M(Net):
    def forward(self, x, return_probs=False):
        x = self.fc(x)
        if return_probs: return F.softmax(x, 1)
        return x
m = M(); F.cross_entropy(m(x), y); p = m(x, return_probs=True)
""",
    "mode str": """
class M(Net):
    def forward(self, x, mode='train'):
        x = self.fc(x)
        if mode == 'test':
            x = F.softmax(x, 1)
        return x
m = M(); F.cross_entropy(m(x), y)
def evaluate(): return m(x, mode='test')
""",
    "contrastive": """
def info_nce(a, b):
    logits = a @ b.t() / 0.07
    labels = torch.arange(len(a))
    return F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)
""",
    "pseudo": """
t = F.softmax(Net()(x), dim=1)
conf, pl = t.max(1)
loss = F.cross_entropy(Net()(x2), pl)
""",
    "distil": """
loss = nn.KLDivLoss()(F.log_softmax(s / T, dim=1), F.softmax(t / T, dim=1)) * T * T + F.cross_entropy(s, y)
""",
    "categorical": """
from torch.distributions import Categorical
d = Categorical(F.softmax(x, -1)); d2 = Categorical(probs=F.softmax(x, -1)); d3 = Categorical(logits=x)
""",
    "mixup": """
o = Net()(x); loss = lam * F.cross_entropy(o, a) + (1 - lam) * F.cross_entropy(o, b)
p = o.softmax(1); acc = p.argmax(1)
""",
    "focal": """
def focal(inputs, targets):
    p = F.softmax(inputs, dim=1)
    ce = F.cross_entropy(inputs, targets, reduction='none')
    pt = p.gather(1, targets.unsqueeze(1)).squeeze(1)
    return ((1 - pt) ** 2 * ce).mean()
""",
    "focal2": """
def focal(inputs, targets):
    logpt = F.log_softmax(inputs, dim=1)
    pt = logpt.exp()
    logpt = (1 - pt) ** 2 * logpt
    return F.nll_loss(logpt, targets)
""",
    "aux": """
class M(Net):
    def forward(self, x):
        l = self.fc(x)
        return l, F.softmax(l, 1)
o, p = M()(x); F.cross_entropy(o, y); F.nll_loss(torch.log(p), y)
""",
    "attn pool": """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Linear(8, 1); self.fc = nn.Linear(8, 2)
    def forward(self, x):
        a = torch.softmax(self.w(x), dim=1)
        return self.fc((a * x).sum(1))
F.cross_entropy(A()(x), y)
""",
    "gate": """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = nn.Linear(8, 3); self.fc = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))
    def forward(self, x):
        w = F.softmax(self.g(x), dim=-1)
        return sum(w[:, i:i+1] * l(x) for i, l in enumerate(self.fc))
F.cross_entropy(A()(x), y)
""",
    "crf nll": """
class CRF(nn.Module):
    def nll_loss(self, e, t): return e.sum()
c = CRF(); c.nll_loss(nn.Linear(2,3)(x), y)
""",
    "gan bce": """
d = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()); F.binary_cross_entropy(d(x), y)
""",
    "np softmax 1d": """
def softmax(x):
    e = np.exp(x - np.max(x)); return e / e.sum()
def softmax0(x):
    e = np.exp(x - np.max(x, axis=0)); return e / e.sum(axis=0)
def softmaxr(x):
    e = np.exp(x - np.max(x, axis=1).reshape(-1, 1)); s = np.sum(e, axis=1); return e / s.reshape(-1, 1)
def softmaxT(x):
    x = x.T
    x = x - np.max(x, axis=0)
    y = np.exp(x) / np.sum(np.exp(x), axis=0)
    return y.T
""",
    "masked attn": """
s = q @ k.transpose(-2, -1)
s = s.masked_fill(mask == 0, -1e9)
a = F.softmax(s, -1)
a = a.masked_fill(mask == 0, 0.0)
x = x.masked_fill(pad, 0)
h = Net()(x)
p = F.softmax(h, 1)
""",
    "triplet": """
z = F.normalize(Net()(x)); F.cross_entropy(z @ z.t(), y)
""",
    "detach target": """
q = F.softmax(a, 1); F.cross_entropy(b, q.detach())
""",
    "ce soft by hand": """
loss = -(F.softmax(t, 1) * F.log_softmax(s, 1)).sum(1).mean()
""",
    "eval softmax": """
def train(model):
    for x, y in l:
        out = model(x); loss = F.cross_entropy(out, y)
def test(model):
    out = model(x); out = F.softmax(out, dim=1); return out
m = Net(); train(m); test(m)
""",
    "replace": """
m = nn.Sequential(nn.Linear(2,3), nn.Softmax(dim=1))
m[1] = nn.Identity()
F.cross_entropy(m(x), y)
""",
    "slice": """
m = nn.Sequential(nn.Linear(2,3), nn.Softmax(dim=1))
F.cross_entropy(m[:-1](x), y)
""",
    "wrapper predictor": """
class P:
    def __init__(self, net): self.net = net; self.sm = nn.Softmax(1)
    def loss(self, x, y): return F.cross_entropy(self.net(x), y)
    def predict(self, x): return self.sm(self.net(x))
P(Net()).loss(x, y)
""",
    "nll on lse": """
class M(Net):
    def forward(self, x):
        x = self.fc(x)
        return x - x.logsumexp(1, keepdim=True)
F.nll_loss(M()(x), y)
""",
    "nll unknown head": """
class M(Net):
    def __init__(self, head):
        super().__init__(); self.head = head
    def forward(self, x): return self.head(self.fc(x))
F.nll_loss(M(foo())(x), y)
""",
    "temperature": """
sim = F.softmax(a @ b.T, dim=-1) @ c
F.cross_entropy(sim, y)
""",
    "reassign tup": """
logits, _ = m(x), F.softmax(z, 1)
F.cross_entropy(logits, y)
""",
    "poly": """
ce = F.cross_entropy(x, y, reduction='none'); pt = torch.exp(-ce); loss = (ce + 1 - pt).mean()
""",
    "kl hand": """
loss = F.kl_div(torch.log(F.softmax(x,1)), F.softmax(y,1))
""",
    "gumbel": """
g = F.gumbel_softmax(x, tau=1, hard=True); loss = F.mse_loss(g, y)
""",
    "bool mask zero": """
x[x < 0] = 0
h = F.relu(x); p = F.softmax(h.sum(-1), -1)
""",
}


def names(code: str) -> set[str]:
    source, notes = parse(code.encode(), "x.py")
    assert source is not None, notes
    return {one.name for one in analyse([source]) if isinstance(one, Finding) and one.severity != "info"}


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG)
def test_probabilities_reach_the_loss(code: str) -> None:
    assert names(WRONG_HEAD + code) == {"double-softmax"}


@pytest.mark.parametrize("code", RIGHT.values(), ids=RIGHT)
def test_right_programs_are_silent(code: str) -> None:
    # The logarithm of a softmax is a warning that some of them deserve.
    assert names(RIGHT_HEAD + code) <= {"log-of-softmax"}
