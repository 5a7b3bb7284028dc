import torch.nn.functional as F
from digits import train
from torch import nn

embed, decide = nn.Linear(8, 16), nn.Linear(16, 10)


def step(x, y):
    rows = x.view(64, 8, 8)
    padding = (rows == 0).all(-1) | (rows.sum((1, 2), keepdim=True)[..., 0] < 19)
    h = embed(rows)
    scores = (h @ h.transpose(1, 2)).masked_fill(padding[:, None, :], float("-inf"))
    attention = scores.softmax(-1)  # finds: rows-all-masked
    return F.cross_entropy(decide((attention @ h).mean(1)), y)


train(nn.ModuleList([embed, decide]), step)
