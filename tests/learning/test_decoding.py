from __future__ import annotations

import pytest
import torch

from backend.learning import decoding
from backend.learning.decoding import decoder_of, places_of
from backend.segmentation.model import Decoder, build_model

PROMPTS, TOKENS = 3, 4


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model("repvit_m1").eval()


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["first round", "with the mask before"])
def asked(request):
    random = torch.Generator().manual_seed(1)
    return (
        torch.randn(1, 256, 64, 64, generator=random),
        torch.rand(PROMPTS, TOKENS, 2, generator=random) * 1024,
        torch.tensor([[1, 0, 2, 3], [1, 1, 1, -1], [0, 1, 2, 3]]),
        torch.randn(PROMPTS, 1, 256, 256, generator=random),
        torch.tensor([request.param]),
    )


def answered(model, asked, bf16=False):
    embedding, *prompt = asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "fast_in_bf16", lambda _: bf16)
        decode = decoder_of(model)
    return decode(places_of(embedding), *prompt)


def test_it_answers_as_sams_own_modules_do(model, asked):
    with torch.no_grad():
        logits, ious = answered(model, asked)
        wanted, wanted_ious = Decoder(model)(*asked)

    torch.testing.assert_close(logits, wanted, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(ious, wanted_ious, atol=1e-3, rtol=1e-3)


def test_in_bf16_it_answers_nearly_so(model, asked):
    with torch.no_grad():
        logits, _ = answered(model, asked, bf16=True)
        wanted, _ = Decoder(model)(*asked)

    assert logits.dtype == torch.bfloat16
    assert (logits.float() - wanted).abs().mean() < 0.05 * wanted.abs().mean()


def test_all_of_the_mask_decoder_learns_as_it_would_with_sams_own_modules(model, asked):
    parameters = dict(model.mask_decoder.named_parameters())

    made = torch.autograd.grad(answered(model, asked)[0].square().mean(), parameters.values(), allow_unused=True)
    wanted = torch.autograd.grad(Decoder(model)(*asked)[0].square().mean(), parameters.values(), allow_unused=True)

    for name, one, other in zip(parameters, made, wanted, strict=True):
        if other is not None:  # a bias that moves all attention alike has no gradient: None here, rounding errors there
            torch.testing.assert_close(
                torch.zeros_like(other) if one is None else one, other, atol=1e-4, rtol=1e-2, msg=name
            )
