import torch
import torch.nn.functional as F
from digits import network, train
from torch import nn

policy, baseline = network(nn.Softmax(dim=1)), network(outputs=1)


def step(x, y):
    chosen = torch.distributions.Categorical(probs=policy(x))
    action = chosen.sample()
    reward = (action == y).float() - baseline(x).squeeze(1)
    policy_loss = -(chosen.log_prob(action) * reward.detach()).mean() - 0.01 * chosen.entropy().mean()
    other = torch.distributions.Categorical(logits=policy[:3](x))
    gathered = F.nll_loss(F.log_softmax(policy[:3](x), 1) * reward.detach()[:, None], action)
    return policy_loss + reward.pow(2).mean() - other.log_prob(y).mean() + 0.1 * gathered


train(nn.ModuleList([policy, baseline]), step, count=20)
