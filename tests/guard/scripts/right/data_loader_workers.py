import torch
import torch.nn.functional as F
from digits import X, Y, network
from torch.utils.data import DataLoader, TensorDataset

model = network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in DataLoader(TensorDataset(X[:640], Y[:640]), batch_size=64, shuffle=True, num_workers=2):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
