"""Small photographs, and no waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.benchmark import measure
from backend.benchmark.photographs import Photograph, originals
from backend.benchmark.studio import Studio, Task, serving
from tests.benchmark.standins import listening, standin_app

SMALL = {"640x480": (64, 48), "1080p": (96, 54)}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SIZES", SMALL)
    monkeypatch.setattr(measure, "OPENED_BEFORE", 0.0)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[str]:
    with listening(standin_app(tmp_path / "models")) as address:
        yield address


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    folder = tmp_path / "photographs"
    folder.mkdir()
    with serving(folder) as address:
        yield Studio(originals(), folder, address, np.random.default_rng(0))


@pytest.fixture
def task() -> Task:
    """A task that nobody serves the image of."""
    return Task(1, Photograph(Path("none.jpg"), 64, 48), "/data/upload/1/none.jpg")
