"""Softmax regression: few enough numbers to be fitted at once, in a second."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import backward

from backend.segmentation.engines import Floats
from backend.segmentation.proposals import Linear


def fitted(values: Floats, targets: Floats, shares: Floats, steady: float) -> Linear:
    """What makes K logits of N values. values: M x N. targets: M x K, which add up to 1. shares: how much each of the M
    counts, together 1. steady: how much the squares of the weights cost, of values that vary by 1."""
    given, wanted, counts = (torch.from_numpy(np.ascontiguousarray(one)) for one in (values, targets, shares))
    mean, spread = given.mean(dim=0), given.std(dim=0, correction=0) + 1e-4
    scaled = (given - mean) / spread
    weight = torch.zeros(targets.shape[1], values.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        crossed = F.cross_entropy(scaled @ weight.T + bias, wanted, reduction="none")
        cost = (crossed * counts).sum() + steady * (weight**2).sum()
        backward(cost)
        return cost

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        unscaled = weight / spread
        return Linear(unscaled.numpy(), (bias - unscaled @ mean).numpy())
