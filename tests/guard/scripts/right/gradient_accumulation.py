import torch
import torch.nn.functional as F
from digits import batches, network
from torch import nn

model = network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for number, (x, y) in enumerate(batches(40)):
    for part, labels in zip(x.split(16), y.split(16), strict=True):
        (F.cross_entropy(model(part), labels) / 4).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if number % 2:
        optimizer.step()
        optimizer.zero_grad()
