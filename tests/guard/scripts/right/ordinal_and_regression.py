import torch
import torch.nn.functional as F
from digits import network, train

model = network(outputs=11)


def step(x, y):
    out = model(x)
    levels = (y[:, None] > torch.arange(9)).float()
    ordinal = F.binary_cross_entropy_with_logits(out[:, :9], levels)
    expected = (out[:, :10].softmax(1) * torch.arange(10.0)).sum(1)  # a mean of the classes
    return ordinal + F.mse_loss(expected, y.float()) + F.l1_loss(out[:, 10], y / 9)


train(model, step, count=20, rate=0.01)
