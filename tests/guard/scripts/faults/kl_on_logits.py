import torch.nn.functional as F
from digits import network, train
from torch import nn

teacher, student = network(nn.Softmax(dim=1)), network()
train(student, lambda x, y: F.kl_div(student(x), teacher(x).detach(), reduction="sum"))  # finds: kl-on-logits
