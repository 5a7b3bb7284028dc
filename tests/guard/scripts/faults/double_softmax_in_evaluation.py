import torch
import torch.nn.functional as F
from digits import batches, network, train
from torch import nn

model = network()
train(model, lambda x, y: F.cross_entropy(model(x), y), count=20)
with torch.no_grad():
    for x, y in batches():
        p = F.log_softmax(model(x), dim=1).exp()
        loss = nn.CrossEntropyLoss(reduction="sum")(p, y)  # finds: double-softmax
