from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from backend.learning.networks import METADATA
from backend.segmentation.model import build_model
from backend.segmentation.weights import WeightsFile, find_weights


def drawn(seed: int) -> tuple[Image.Image, Image.Image]:
    """A picture of two discs on a ground, and its label map."""
    random = np.random.default_rng(seed)
    width, height = 160, 120
    image = Image.fromarray(random.integers(0, 90, (height, width, 3), dtype=np.uint8))
    labels = Image.new("L", (width, height), 0)
    for number, left in ((1, 10), (2, 90)):
        top, side = int(random.integers(5, 50)), int(random.integers(40, 60))
        box = (left, top, left + side, top + side)
        ImageDraw.Draw(image).ellipse(box, fill=tuple(int(value) for value in random.integers(120, 255, 3)))
        ImageDraw.Draw(labels).ellipse(box, fill=number)
    return image, labels


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """These networks are small, and the machine may be busy: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one shard of six small photographs."""
    folder = tmp_path_factory.mktemp("photos")
    with tarfile.open(folder / "photos-0000.tar", "w") as tar:
        for number in range(6):
            jpeg = io.BytesIO()
            drawn(number)[0].save(jpeg, "JPEG")
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(jpeg.getvalue())
            tar.addfile(member, io.BytesIO(jpeg.getvalue()))
    return folder


@pytest.fixture(scope="session")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one source of true masks, `discs`: five pictures of two objects."""
    data = tmp_path_factory.mktemp("data")
    source = data / "discs"
    rows = []
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    for number in range(5):
        image, labels = drawn(number)
        image.save(source / "images" / f"{number}.png")
        labels.save(source / "masks" / f"{number}.png")
        objects = [{"id": 1, "bbox": [], "area": 1}, {"id": 2, "bbox": [], "area": 1}]
        rows.append(
            {"image": f"{number}.png", "mask": f"{number}.png", "width": 160, "height": 120, "objects": objects}
        )
    (source / "index.json").write_text(json.dumps(rows))
    (data / "kinds.json").write_text(json.dumps({"discs": "object"}))
    return data


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> WeightsFile:
    """An EdgeSAM that has learned nothing."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(
        {name: value.contiguous() for name, value in build_model("repvit_m1").state_dict().items()}, file, METADATA
    )
    return find_weights(str(file), file.parent)
