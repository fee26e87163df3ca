"""Engines are compared mask by mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.learning.agreement import agreement
from backend.learning.evaluate import Selection
from backend.segmentation.prompts import Prompt


class Square:
    """Answers every prompt with the same square, `shift` columns further right."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def open(self, pixels: np.ndarray) -> None:
        self.shape = pixels.shape[:2]

    def ask(self, prompt: Prompt) -> np.ndarray:
        mask = np.zeros(self.shape, bool)
        mask[10:30, 10 + self.shift : 30 + self.shift] = True
        return mask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    source = tmp_path / "squares"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 10:30] = 1
    Image.fromarray(labels).save(source / "masks" / "one.png")
    Image.new("RGB", (60, 40)).save(source / "images" / "one.jpg")
    row = {"image": "one.jpg", "mask": "one.png", "width": 60, "height": 40, "objects": [{"id": 1}]}
    (source / "index.json").write_text(json.dumps([row]))
    return tmp_path


def test_equal_masks_agree_wholly_and_others_by_their_iou(data: Path) -> None:
    figures = agreement(Square(), {"same": Square(), "shifted": Square(10)}, data, Selection())
    assert set(figures) == {"reference", "same", "shifted"}
    assert figures["same"] == dict.fromkeys(("box", "click1", "click2"), (1.0, 1.0))
    assert figures["shifted"]["box"] == pytest.approx((1 / 3, 1 / 3))
    assert figures["shifted"]["click2"] == pytest.approx((1 / 3, 1 / 3))
