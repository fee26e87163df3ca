"""That it is EdgeSAM's is proven in test_model.py; here is what that does not show."""

from __future__ import annotations

import pytest
import torch

from backend.segmentation.layers import reparameterised
from backend.segmentation.repvit import DepthwiseMixer, RepViT

PUBLISHED_PARAMETERS, MERGED_PARAMETERS = 5_517_552, 5_485_896


@pytest.fixture(scope="module")
def encoder() -> RepViT:
    torch.manual_seed(0)
    return RepViT("bilinear").eval()


def test_parameters_are_as_many_as_published_before_and_after_reparameterisation(encoder):
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    assert count(encoder) == PUBLISHED_PARAMETERS
    assert count(reparameterised(encoder)) == MERGED_PARAMETERS


def test_the_embedding_lies_at_a_sixteenth_of_the_size(encoder):
    with torch.inference_mode():
        assert encoder(torch.zeros(2, 3, 128, 192)).shape == (2, 256, 8, 12)


def test_it_can_be_trained_all_of_it():
    torch.manual_seed(0)
    encoder = RepViT("bicubic").train()

    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()

    without = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    assert without == []


def test_the_mixer_is_one_convolution_once_merged():
    torch.manual_seed(0)
    mixer, x = DepthwiseMixer(4).eval(), torch.randn(1, 4, 6, 6)

    torch.testing.assert_close(mixer.merged()(x), mixer(x))
