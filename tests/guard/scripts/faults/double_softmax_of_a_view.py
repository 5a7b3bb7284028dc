import torch
import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    p = torch.softmax(model(x), dim=-1).bfloat16().reshape(8, 8, 10).permute(0, 2, 1)
    return F.cross_entropy(p.float(), y.view(8, 8))  # finds: double-softmax


train(model, step)
