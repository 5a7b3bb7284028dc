import torch.nn.functional as F
from digits import network, train

teacher, student = network(), network()


def step(x, y):
    logits, target = student(x), teacher(x).detach()
    soft = F.kl_div(F.log_softmax(logits / 2, 1), F.softmax(target / 2, 1), reduction="batchmean")
    logs = F.kl_div(F.log_softmax(logits, 1), F.log_softmax(target, 1), reduction="batchmean", log_target=True)
    return F.cross_entropy(logits, F.softmax(target, 1)) + F.cross_entropy(logits, y) + 4 * soft + logs


train(student, step, count=20)
