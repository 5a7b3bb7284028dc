from digits import network, train
from torch import nn

teacher, student = network(nn.Softmax(dim=1)), network(nn.LogSoftmax(dim=1))
criterion = nn.KLDivLoss(reduction="batchmean", log_target=True)
train(student, lambda x, y: criterion(student(x), teacher(x).detach()))  # finds: kl-log-target
