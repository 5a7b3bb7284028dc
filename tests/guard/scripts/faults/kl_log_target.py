import torch.nn.functional as F
from digits import network, train
from torch import nn

teacher, student = network(nn.LogSoftmax(dim=1)), network(nn.LogSoftmax(dim=1))
train(student, lambda x, y: F.kl_div(student(x), teacher(x).detach(), reduction="batchmean"))  # finds: kl-log-target
