"""That it is MobileSAM's is proven in test_model.py, on photographs; here is what that does not show."""

from __future__ import annotations

import torch
from torch import nn

from backend.segmentation.layers import reparameterised
from backend.segmentation.tinyvit import Attention, TinyViT, attend_by_window


def test_windows_are_put_back_where_they_came_from():
    x = torch.randn(2, 10, 17, 3)

    assert torch.equal(attend_by_window(nn.Identity(), x, 7), x)


def test_attention_stays_within_its_window():
    torch.manual_seed(0)
    attention, x = Attention(8, 2, 4).eval(), torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[0, 0, 0] = torch.randn(8)

    difference = (attend_by_window(attention, changed, 4) - attend_by_window(attention, x, 4)).abs().sum(-1)[0]

    assert (difference[:4, :4] > 0).all()
    assert difference[4:].max() == 0
    assert difference[:, 4:].max() == 0


def test_one_bias_for_each_distance_in_rows_and_columns():
    distances = Attention(8, 2, 3).distances

    assert distances[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert distances[4].tolist() == [4, 3, 4, 1, 0, 1, 4, 3, 4]


def test_the_same_embedding_after_reparameterisation():
    torch.manual_seed(0)
    encoder, canvas = TinyViT().eval(), torch.randn(1, 3, 96, 64)

    with torch.inference_mode():
        before, after = encoder(canvas), reparameterised(encoder)(canvas)

    assert before.shape == (1, 256, 6, 4)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
