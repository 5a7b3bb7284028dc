import torch
import torch.nn.functional as F
from digits import X, Y, network, train

model = network()
train(model, lambda x, y: F.cross_entropy(model(x), y), count=600, rate=0.5)
with torch.no_grad():
    F.cross_entropy(model(X) * 3, Y)
