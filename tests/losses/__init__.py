"""Tests of the losses: nll_loss, cross_entropy, its gradient, row_stats."""
