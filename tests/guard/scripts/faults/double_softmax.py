import torch
from digits import batches, network
from torch import nn

model = network(nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for x, y in batches():
    optimizer.zero_grad()
    loss = criterion(model(x), y)  # finds: double-softmax
    loss.backward()
    optimizer.step()
