import torch.nn.functional as F
from digits import network, train

model = network()


def step(x, y):
    norm = x[:, :1] / x[:, :1].max()
    scaled = model(x) / norm  # finds: not-finite
    return F.cross_entropy(scaled, y)


train(model, step)
