import torch
import torch.nn.functional as F
from digits import batches, network
from torch import nn

maker = nn.Sequential(nn.Linear(16, 64), nn.Sigmoid())
judge, classify = network(outputs=1), network()
criterion = nn.BCEWithLogitsLoss()
of_maker, of_judge = (
    torch.optim.Adam(maker.parameters()),
    torch.optim.Adam([*judge.parameters(), *classify.parameters()]),
)
for x, y in batches(20):
    made = maker(torch.randn(64, 16))
    mixed = (x + made.detach()).div(2).requires_grad_()
    (slope,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    of_judge.zero_grad()
    loss = criterion(judge(x), torch.ones(64, 1)) + criterion(judge(made.detach()), torch.zeros(64, 1))
    (loss + (slope.norm(dim=1) - 1).pow(2).mean() + F.cross_entropy(classify(x), y)).backward()
    of_judge.step()
    of_maker.zero_grad()
    criterion(judge(made), torch.ones(64, 1)).backward()
    of_maker.step()
