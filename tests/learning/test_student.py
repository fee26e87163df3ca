"""What of a model learns under fine-tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from backend.learning import student as students
from backend.learning.examples import Example, jpeg_of
from backend.learning.student import answers_of, student_of, with_state
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.model import build_model, model_of
from backend.segmentation.predictor import encode
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsFile
from backend.segmentation.windows import Window

FRAME = Frame(160, 120)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(students, "fast_in_bf16", lambda _: False)


def example_with(features: np.ndarray, pixels: np.ndarray) -> Example:
    return Example("k", features, FRAME, np.ones((120, 160), np.int16), (1.0,), jpeg_of(pixels, FRAME))


def test_a_picture_is_seen_as_the_engine_that_serves_sees_it(random_weights: WeightsFile) -> None:
    pixels = np.full((120, 160, 3), 90, np.uint8)
    pixels[40:80, 50:110] = (200, 120, 40)
    engine = load_torch_engine(random_weights, "cpu")
    example = example_with(encode(engine, pixels, FRAME).features, pixels)
    seen = student_of(model_of(random_weights), Generator().manual_seed(0)).places(example)
    assert seen.requires_grad
    served = torch.tensor(example.features).float()
    assert (seen[0] - served).abs().mean() < 0.02 * served.abs().mean()  # the picture is kept as a JPEG


def test_of_a_picture_that_is_seen_once_nothing_is_kept(random_weights: WeightsFile) -> None:
    features, student = np.zeros((4096, 256), np.float16), student_of(model_of(random_weights), Generator())
    grey, white = (example_with(features, np.full((120, 160, 3), one, np.uint8)) for one in (90, 255))
    as_it_is, other = student.places(grey), student.places(white, again=False)
    assert not other.equal(as_it_is)
    assert student.places(grey).equal(as_it_is)
    assert len(student.early) == 1


def test_mobile_sams_encoder_does_not_learn() -> None:
    features = np.random.default_rng(0).normal(size=(4096, 256)).astype(np.float16)
    student = student_of(build_model("tinyvit").eval(), Generator().manual_seed(0))
    places = student.places(replace(example_with(features, np.zeros((120, 160, 3), np.uint8)), jpeg=b""))
    assert places.shape == (1, 4096, 256)
    assert np.array_equal(places[0].numpy(), features.astype(np.float32))
    assert not places.requires_grad
    assert all(name.startswith("mask_decoder.") for name in student.state())
    assert set(student.learning) == {"decoder"}


def test_what_was_learned_answers_on_what_it_sees(random_weights: WeightsFile) -> None:
    model = model_of(random_weights)
    example = example_with(np.zeros((4096, 256), np.float16), np.full((120, 160, 3), 90, np.uint8))
    student = student_of(model, Generator().manual_seed(0))
    torch.nn.init.normal_(student.encoder.up[-1], std=0.1)
    learned = student.state()
    embedding = answers_of(model, learned)(example).embedding
    while_learning = student.answers()(example).embedding
    # Early features are kept in half precision.
    np.testing.assert_allclose(embedding.features, while_learning.features, atol=3e-2)
    decoder_alone = {name: value for name, value in learned.items() if "encoder" not in name}
    without = answers_of(model, decoder_alone)(example).embedding
    assert without.features is example.features
    assert np.abs(embedding.features.astype(np.float32)).mean() > 0.01


def test_windows_are_seen_as_the_engine_that_serves_sees_them(random_weights: WeightsFile) -> None:
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[:, 70:90] = (200, 120, 40)
    engine, window = load_torch_engine(random_weights, "cpu"), Window(40, 0, 120, 80)
    example = example_with(np.zeros((4096, 256), np.float16), pixels)
    closer = answers_of(model_of(random_weights), {}, closely=True)(example).closer
    assert closer is not None
    seen = closer(window)
    assert seen is not None
    assert seen.frame == Frame(80, 80)
    served = encode(engine, pixels[window.rows, window.columns], window.frame).features.astype(np.float32)
    whole = encode(engine, pixels, FRAME).features.astype(np.float32)
    off = np.abs(seen.features - served).mean()
    assert off < 0.05 * np.abs(served).mean()  # the picture is kept as a JPEG
    assert off < 0.3 * np.abs(whole - served).mean()
    assert answers_of(model_of(random_weights), {})(example).closer is None


def test_what_was_learned_leaves_the_model_as_it_is(random_weights: WeightsFile) -> None:
    model = model_of(random_weights)
    name = "mask_decoder.mask_tokens.weight"
    before = model.state_dict()[name].clone()
    changed = with_state(model, {name: before + 1})
    assert model.state_dict()[name].equal(before)
    assert changed.state_dict()[name].equal(before + 1)
