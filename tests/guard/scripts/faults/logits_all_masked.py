import torch
import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    allowed = (x[:, :10] > 0) | F.one_hot(y, 10).bool()
    allowed[::9] = False
    return F.cross_entropy(model(x).masked_fill(~allowed, -torch.inf), y)  # finds: rows-all-masked


train(model, step)
