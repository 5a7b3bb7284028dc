from digits import network, train
from torch import nn

model = network()
criterion = nn.NLLLoss()
train(model, lambda x, y: criterion(model(x), y))  # finds: nll-on-logits
