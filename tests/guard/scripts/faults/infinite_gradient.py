import torch
import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    h = model(x)
    far = (h[:, None] - h).pow(2).sum(2).sqrt()  # finds: not-finite-gradient
    return F.cross_entropy(-far, torch.arange(len(x)))


train(model, step)
