import torch
import torch.nn.functional as F
from digits import network, train

model = network(outputs=1)
train(model, lambda x, y: F.cross_entropy(model(x), torch.zeros_like(y)))  # finds: single-logit-softmax
