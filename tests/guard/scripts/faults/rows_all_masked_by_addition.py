import torch
import torch.nn.functional as F
from digits import train
from torch import nn

embed, decide = nn.Linear(8, 16), nn.Linear(16, 10)


def step(x, y):
    h = embed(x.view(64, 8, 8))
    mask = torch.zeros(64, 8, 8)
    mask[3, 5] = float("-inf")
    attention = torch.softmax(h @ h.transpose(1, 2) + mask, dim=-1)  # finds: rows-all-masked
    return F.cross_entropy(decide((attention @ h).mean(1)), y)


train(nn.ModuleList([embed, decide]), step)
