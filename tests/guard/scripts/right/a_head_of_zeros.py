import torch.nn.functional as F
from digits import network, train
from torch import nn

model = network()
nn.init.zeros_(model[2].weight)
nn.init.constant_(model[2].bias, 0.1)  # the first rows are all the same, and sum to 1
train(model, lambda x, y: F.cross_entropy(model(x), y), count=30)
