import torch
import torch.nn.functional as F
from digits import network, train
from torch import nn

encode, decode = network(outputs=8), nn.Linear(4, 64)


def step(x, y):
    mean, log_variance = encode(x).chunk(2, dim=1)
    z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
    return F.binary_cross_entropy(torch.sigmoid(decode(z)), x) * 64 + divergence


train(nn.ModuleList([encode, decode]), step, count=20, rate=0.01)
