"""What a student is told: how far its embedding and its masks are from what they should be."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def embedding_loss(made: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Mean squared error of embeddings B x 256 x H x W where `inside` (B x 1 x H x W) is 1: on the picture."""
    return ((made - target) ** 2 * inside).sum() / (inside.sum() * made.shape[1])


def unexplained(made: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """The embedding loss as a share of the target's own size: 1 for an embedding of zeros, 0 for a perfect one."""
    return embedding_loss(made, target, inside) / embedding_loss(torch.zeros_like(target), target, inside)


def mask_loss(logits: Tensor, soft: Tensor, hard: Tensor) -> Tensor:
    """5 BCE + 5 Dice, the paper's, for logits ... x H x W: one figure for each mask.

    soft: how much of each pixel the object covers, 0 to 1, for the BCE: at a border that is neither. hard: its mask,
    0 or 1, for the Dice: a mask can reach it wholly.
    """
    crossed = F.binary_cross_entropy_with_logits(logits, soft, reduction="none").mean((-2, -1))
    seen = logits.sigmoid()
    shared = (seen * hard).sum((-2, -1))
    dice = 1 - (2 * shared + 1) / (seen.sum((-2, -1)) + hard.sum((-2, -1)) + 1)
    return 5 * crossed + 5 * dice
