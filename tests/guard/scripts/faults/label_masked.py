import torch
import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    allowed = x[:, :10] > 0
    return F.cross_entropy(model(x).masked_fill(~allowed, -torch.inf), y)  # finds: not-finite


train(model, step)
