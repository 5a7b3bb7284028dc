import torch
import torch.nn.functional as F
from digits import network, train

model = network(outputs=6)


def step(x, y):
    logits = model(x)
    target = torch.stack([(y >> bit) & 1 for bit in range(6)], 1).float()
    focal = (1 - torch.sigmoid(logits)) ** 2 * F.logsigmoid(logits) * target
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.full((6,), 2.0)) - focal.mean()


train(model, step, count=20)
