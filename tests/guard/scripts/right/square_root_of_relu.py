import torch
import torch.nn.functional as F
from digits import network, train
from torch import nn

model = network(nn.ReLU())


def step(x, y):
    root = torch.sqrt(model(x))  # the derivative at 0 is infinite, and relu multiplies it by 0
    return F.cross_entropy(root, y)


train(model, step)
