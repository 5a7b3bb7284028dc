from digits import network, train
from torch import nn

model = network(nn.Sigmoid(), outputs=1)
criterion = nn.BCEWithLogitsLoss()
train(model, lambda x, y: criterion(model(x).squeeze(1), (y > 4).float()))  # finds: double-sigmoid
