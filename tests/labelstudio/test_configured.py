"""What the settings choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.labelstudio.configured import engine_name, segmenter_of
from backend.segmentation.weights import WeightsFile
from backend.settings import read_settings
from tests.labelstudio.standins import DiscEngine

OWN = WeightsFile(Path("own.safetensors"), "own", "repvit_m1", "bilinear", "0" * 64)
SCRIPT = WeightsFile(Path("own.pt"), "own", "torchscript", "none", "0" * 64)


@pytest.mark.parametrize("chosen", ["openvino", "torch"])
def test_an_engine_that_is_asked_for_is_used(chosen: str) -> None:
    assert engine_name(read_settings(edgesam_engine=chosen), OWN) == chosen


def test_auto_is_torch_for_what_only_torch_reads() -> None:
    assert engine_name(read_settings(), SCRIPT) == "torch"


def test_limits_reach_the_segmenter(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    settings = read_settings(
        model_dir=tmp_path, edgesam_max_megapixels=2, edgesam_max_image_mb=3, edgesam_smallest_part=0.25
    )
    segmenter = segmenter_of(settings, DiscEngine, lambda phase, seconds: seen.append((phase, seconds)))
    assert segmenter.images.max_pixels == 2_000_000
    assert segmenter.images.max_bytes == 3 << 20
    assert segmenter.smallest_share == 0.25
    segmenter.observe("image", 1.0)
    assert seen == [("image", 1.0)]
