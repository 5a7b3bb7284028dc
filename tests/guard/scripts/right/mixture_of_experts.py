import torch
import torch.nn.functional as F
from digits import network, train
from torch import nn

experts, gate = nn.ModuleList([network() for _ in range(4)]), nn.Linear(64, 4)


def step(x, y):
    share = F.softmax(gate(x), dim=1)
    logits = sum(share[:, i, None] * expert(x) for i, expert in enumerate(experts))
    balance = (share.mean(0) * F.one_hot(share.argmax(1), 4).float().mean(0)).sum()
    log_mixed = torch.logsumexp(
        torch.stack([F.log_softmax(e(x), 1) for e in experts], 2) + torch.log_softmax(gate(x), 1)[:, None], 2
    )
    return F.cross_entropy(logits, y) + 0.01 * balance + F.nll_loss(log_mixed, y)


train(nn.ModuleList([experts, gate]), step, count=20)
