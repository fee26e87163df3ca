from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.segmentation.layers import ConvNorm, LayerNorm2d, reparameterised


@pytest.fixture
def learned() -> ConvNorm:
    """A strided depthwise layer whose batch norm has seen something."""
    torch.manual_seed(0)
    layer = ConvNorm(6, 6, 3, stride=2, groups=6)
    nn.init.normal_(layer.bn.weight)
    nn.init.normal_(layer.bn.bias)
    nn.init.normal_(layer.bn.running_mean)
    nn.init.uniform_(layer.bn.running_var, 0.5, 2.0)
    return layer


def test_a_merged_layer_is_one_convolution_with_the_same_output(learned):
    x = torch.randn(2, 6, 9, 9)

    merged = learned.merged()

    assert isinstance(merged, nn.Conv2d)
    torch.testing.assert_close(merged(x), learned.bn.eval()(learned.c(x)))


def test_while_statistics_stand_still_norm_and_convolution_learn_as_if_apart(learned):
    learned.eval()
    x = torch.randn(2, 6, 9, 9)

    apart = torch.autograd.grad(learned.bn(learned.c(x)).square().sum(), learned.parameters())
    together = torch.autograd.grad(learned(x).square().sum(), learned.parameters())

    torch.testing.assert_close(together, apart)


def test_reparameterised_is_a_copy_that_learns_no_more(learned):
    model = nn.Sequential(nn.Sequential(learned), nn.GELU())

    ready = reparameterised(model)

    assert isinstance(model[0][0], ConvNorm)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())
    assert not any(parameter.requires_grad for parameter in ready.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_layer_norm_sees_each_pixel_alone():
    x = torch.randn(1, 8, 3, 3) * 5 + 2

    normed = LayerNorm2d(8)(x)

    torch.testing.assert_close(normed.mean(1), torch.zeros(1, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var(1, unbiased=False), torch.ones(1, 3, 3), atol=1e-3, rtol=0)
