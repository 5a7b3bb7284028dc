import torch
import torch.nn.functional as F
from digits import batches, network

model = network()
scaler = torch.amp.GradScaler("cpu")
optimizer = torch.optim.AdamW(model.parameters())
for x, y in batches(20):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
