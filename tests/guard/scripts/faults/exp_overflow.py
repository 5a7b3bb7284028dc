import torch
import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    e = torch.exp(model(x) * 1000)  # finds: not-finite
    p = e / e.sum(1, keepdim=True)
    return F.nll_loss(torch.log(p), y)


train(model, step)
