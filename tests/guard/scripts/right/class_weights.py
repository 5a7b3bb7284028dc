import torch
import torch.nn.functional as F
from digits import network, train

model = network()
weight = torch.linspace(0, 2, 10)
weight[0] = 0


def step(x, y):
    loss = F.cross_entropy(model(x), y, weight=weight, reduction="none")
    certain = torch.exp(-F.cross_entropy(model(x), y, reduction="none"))
    only_ignored = F.cross_entropy(model(x), torch.full_like(y, -100), reduction="sum")
    log_p = F.log_softmax(model(x), 1)
    focal = F.nll_loss((1 - log_p.exp()) ** 2 * log_p, y)
    return ((1 - certain) ** 2 * loss).mean() + 0.0 * only_ignored + focal


train(model, step, count=20)
