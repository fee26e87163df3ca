"""Many annotators at once, with the real model and real photographs."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from starlette.testclient import TestClient

from backend.labelstudio.configured import engine_of
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsFile
from backend.server.app import create_app
from backend.server.loading import Loading
from backend.settings import Settings, read_settings
from tests.server.standins import body, click

PHOTOS = Path(__file__).parent.parent / "photos"
IMAGES, THREADS = 8, 32


@pytest.fixture(scope="module")
def engine(edgesam: WeightsFile, weights_folder: Path) -> Engine:
    return engine_of(read_settings(model_dir=weights_folder), edgesam)


def eight_images() -> list[dict[str, Any]]:
    """Requests for different images: two photographs, also mirrored, turned, and cut."""
    images: list[Image.Image] = []
    for name in ("chelsea.jpg", "coffee.jpg"):
        photo = Image.open(PHOTOS / name).convert("RGB")
        images += [photo, ImageOps.mirror(photo), photo.rotate(90, expand=True), photo.crop((60, 20, 360, 270))]
    asked = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
        asked.append(body(uri, click(45, 40, *image.size)))
    assert len(asked) == IMAGES
    return asked


def mask_of(client: TestClient, asked: dict[str, Any]) -> tuple[int, int, tuple[int, ...]]:
    answer = client.post("/predict", json=asked)
    assert answer.status_code == 200, answer.text
    [region] = answer.json()["results"][0]["result"]
    return region["original_width"], region["original_height"], tuple(region["value"]["rle"])


def test_each_gets_the_mask_of_its_own_image(engine: Engine, settings: Settings) -> None:
    def ready(_settings: Settings) -> Loading:
        loading = Loading("edgesam")
        loading.ready.set_result(engine)
        return loading

    asked = eight_images()
    with TestClient(create_app(settings, ready)) as client:
        one_by_one = [mask_of(client, one) for one in asked]
    assert len(set(one_by_one)) == IMAGES

    knows_nothing = settings.model_copy(update={"model_dir": settings.model_dir / "another"})
    with (
        TestClient(create_app(knows_nothing, ready)) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        at_once = list(pool.map(lambda number: mask_of(client, asked[number % IMAGES]), range(THREADS)))
        figures = client.app.state.services.segmenter.embeddings.figures  # type: ignore[attr-defined]
    assert at_once == [one_by_one[number % IMAGES] for number in range(THREADS)]
    assert (figures.misses, figures.hits) == (IMAGES, THREADS - IMAGES)

    with TestClient(create_app(settings, ready)) as client:
        again = [mask_of(client, one) for one in asked]
        figures = client.app.state.services.segmenter.embeddings.figures  # type: ignore[attr-defined]
    assert again == one_by_one, "what was kept on disk gives the masks of what was new"
    assert (figures.misses, figures.disk_hits) == (0, IMAGES)
