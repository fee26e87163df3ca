from __future__ import annotations

import pytest
import torch

from backend.learning.losses import embedding_loss, mask_loss, unexplained


def test_what_lies_off_the_picture_does_not_count() -> None:
    target = torch.ones(1, 4, 2, 2)
    made = target.clone()
    made[..., 1] = 9
    inside = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert embedding_loss(made, target, inside) == 0
    assert unexplained(torch.zeros_like(target), target, inside) == pytest.approx(1)
    assert embedding_loss(target + 2, target, inside) == pytest.approx(4)


def test_a_better_mask_costs_less() -> None:
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:12, 4:12] = 1
    right, half, wrong = (20 * (mask - 0.5) for mask in (truth, truth * (torch.arange(16) < 8), 1 - truth))
    losses = [mask_loss(logits, truth, truth).item() for logits in (right, half, wrong)]
    assert losses[0] < 0.01 < losses[1] < losses[2]


def test_where_an_object_covers_half_a_pixel_half_sure_is_right_and_dice_asks_for_its_mask() -> None:
    soft = torch.full((1, 4, 4), 0.5)
    none, all_of_it = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    logits = torch.zeros(1, 4, 4, requires_grad=True)
    for hard, wanted in ((all_of_it, -1), (none, 1)):  # the gradient of the BCE is zero there
        (gradient,) = torch.autograd.grad(mask_loss(logits, soft, hard).sum(), logits)
        assert (gradient.sign() == wanted).all()
    assert mask_loss(logits, soft, none) < mask_loss(logits + 3, soft, none)
