import torch.nn.functional as F
from digits import train
from torch import nn

model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))


def step(x, y):
    image = x.view(64, 1, 8, 8)
    target = (image[:, 0] * 2.99).long()
    target[:, 0] = 255
    logits = model(image)
    overlap = (logits.softmax(1)[:, 1:] * F.one_hot(target.clamp(max=2), 3).permute(0, 3, 1, 2)[:, 1:]).sum()
    dice = 1 - 2 * overlap / (logits.softmax(1)[:, 1:].sum() + (target < 3).sum())
    return F.cross_entropy(logits, target, ignore_index=255) + dice


train(model, step, count=20)
