import torch
import torch.nn.functional as F
from digits import X, Y, batches, network, train
from torch import nn

model = network()


def step(x, y):
    logits = model(x)
    allowed = x[:, :10] > 0
    return F.cross_entropy(logits.masked_fill(~allowed, -torch.inf), y)  # finds: rows-all-masked


train(model, step)
