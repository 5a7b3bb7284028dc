import torch
import torch.nn.functional as F
from digits import network, train

model = network()
number = 0


def step(x, y):
    global number
    number += 1
    h = model(x)
    h = torch.log(h.exp() - (torch.inf if number == 5 else 0.0))  # finds: not-finite
    return F.cross_entropy(h, y)


train(model, step)
