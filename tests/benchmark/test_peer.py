from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from backend.benchmark import peer
from backend.benchmark.errors import BenchmarkError
from backend.benchmark.mobilesam import MobileSAM
from backend.benchmark.photographs import Photograph
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.model import model_of
from backend.segmentation.predictor import decode, encode
from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import POSITIVE, Prompt
from backend.segmentation.weights import WeightsFile
from tests.conftest import PHOTOS
from tests.server.standins import WEIGHTS

CAT = PHOTOS / "chelsea.jpg"
FACE = (230.0, 120.0)


def test_it_predicts_what_mobilesam_does_and_encodes_an_image_once(mobile_sam: WeightsFile) -> None:
    masks: list[NDArray[np.uint8]] = []
    encoded: list[int] = []

    def rle(mask: NDArray[np.uint8]) -> list[int]:
        masks.append(mask)
        return [7]

    model = MobileSAM(model_of(mobile_sam), rle)
    model.model.image_encoder.register_forward_hook(lambda *_: encoded.append(1))
    answers = [model.prediction(CAT, FACE), model.prediction(CAT, (10.0, 10.0))]
    assert len(encoded) == 1
    assert answers[0]["results"][0]["result"][0]["value"]["rle"] == [7]
    assert (masks[0] != masks[1]).any()

    engine = load_torch_engine(mobile_sam, "cpu")
    pixels = np.asarray(Image.open(CAT).convert("RGB"))
    [ours] = decode(engine, encode(engine, pixels, Frame.of(pixels)), [Prompt(points=(FACE,), labels=(POSITIVE,))])
    theirs = masks[0] == 255
    assert theirs.shape == ours.pixels.shape
    assert (theirs & ours.pixels).sum() / (theirs | ours.pixels).sum() > 0.99


def test_it_answers_from_a_process_of_its_own(mobile_sam: WeightsFile) -> None:
    with peer.started(mobile_sam) as click:
        assert click(Photograph(CAT, 451, 300), FACE) > 0
    assert not peer._loaded


def test_a_process_that_ended_is_told(tmp_path: Path) -> None:
    with peer.started(WEIGHTS) as click, pytest.raises(BenchmarkError, match="the peer's process ended"):
        click(Photograph(CAT, 451, 300), FACE)
