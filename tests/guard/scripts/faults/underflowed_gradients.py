from digits import network, train
from torch import nn

model = network().half()
criterion = nn.CrossEntropyLoss()


def step(x, y):
    loss = criterion(model(x.half()).float(), y)  # finds: underflowed-gradients
    return loss / 1e6


train(model, step)
