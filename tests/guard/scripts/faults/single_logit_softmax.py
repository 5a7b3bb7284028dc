import torch.nn.functional as F
from digits import network, train

model = network(outputs=1)


def step(x, y):
    p = F.softmax(model(x), dim=1)  # finds: single-logit-softmax
    return F.binary_cross_entropy(p.squeeze(1), (y > 4).float())


train(model, step)
