"""A service with a stand-in for the model: quick, and its masks can be foretold."""

from __future__ import annotations

import base64
import io
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.segmentation.engines import FEATURES, Embedding, Engine, Features, Floats
from backend.segmentation.weights import WeightsFile
from backend.server.loading import Loading
from backend.server.runner import Runner
from backend.settings import Settings

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Object"/></BrushLabels>
  <KeyPointLabels name="keypoint" toName="image" smart="true"><Label value="Object"/></KeyPointLabels>
  <RectangleLabels name="rectangle" toName="image" smart="true"><Label value="Object"/></RectangleLabels>
</View>"""

WEIGHTS = WeightsFile(Path("standin.safetensors"), "standin", "repvit_m1", "bilinear", "0123456789abcdef" * 4)


class DiscEngine:
    """Finds a disc around the first point, whatever the picture."""

    identity, version, twice = "standin", "standin-01234567", True

    def for_picture(self, _embedding: Embedding) -> Engine:
        return self

    def encode(self, canvas: Floats) -> Features:
        return np.zeros(FEATURES, np.float16)

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        rows, columns = np.mgrid[:256, :256].astype(np.float32)
        centres = coordinates[:, 0] / 4
        away = np.hypot(columns - centres[:, 0, None, None], rows - centres[:, 1, None, None])
        return (30 - away).astype(np.float32)


def loaded(_settings: Settings) -> Loading:
    loading = Loading("standin")
    loading.weights.set_result(WEIGHTS)
    loading.ready.set_result(DiscEngine())
    return loading


def never_loaded(_settings: Settings) -> Loading:
    return Loading("standin", Future(), Future())


class IdleRunner(Runner):
    """Counts how often it was woken, and runs nothing."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.model_dir, ())
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def picture(width: int = 64, height: int = 48, colour: tuple[int, int, int] = (200, 30, 30)) -> str:
    """A picture of one colour as a data URI."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def click(x: float = 50, y: float = 50, width: int = 64, height: int = 48) -> dict[str, Any]:
    """A context with one positive click, in percent."""
    value = {"x": x, "y": y, "width": 0.3, "labels": ["Object"], "keypointlabels": ["Object"]}
    region = {
        "id": "prompt1", "type": "keypointlabels", "from_name": "keypoint", "to_name": "image", "is_positive": True,
        "original_width": width, "original_height": height, "image_rotation": 0, "value": value,
    }  # fmt: skip
    return {"result": [region]}


def body(image: str, context: dict[str, Any] | None, count: int = 1) -> dict[str, Any]:
    """As Label Studio posts it to /predict."""
    tasks = [{"id": number, "data": {"image": image}, "annotations": [], "predictions": []} for number in range(count)]
    params = {"login": None, "password": None, "context": context}
    return {"tasks": tasks, "project": "1.1700000000", "label_config": CONFIG, "params": params}
