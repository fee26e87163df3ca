from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.benchmark.errors import BenchmarkError
from backend.benchmark.photographs import fresh, originals, somewhere


def test_each_is_new_and_of_the_size_asked_for(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    made = [fresh(originals()[:1], (160, 90), tmp_path, chance) for _ in range(8)]
    assert len({one.path.read_bytes() for one in made}) == 8
    for one in made:
        with Image.open(one.path) as opened:
            assert (opened.format, opened.size, opened.mode) == ("JPEG", (160, 90), "RGB")


def test_clicks_are_in_the_middle(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    photograph = fresh(originals(), (160, 90), tmp_path, chance)
    x, y = np.array([somewhere(photograph, chance) for _ in range(200)]).T
    assert 40 <= x.min() < 60
    assert 100 < x.max() <= 120
    assert 22.5 <= y.min() < 30
    assert 60 < y.max() <= 67.5


def test_a_folder_without_photographs_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="holds no photographs"):
        originals(tmp_path)
