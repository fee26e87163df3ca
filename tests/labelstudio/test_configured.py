"""What the settings choose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.accepted.versions import proposer_file
from backend.labelstudio.configured import engine_name, engine_of, segmenter_of
from backend.learning.version_files import write_version
from backend.segmentation.engines import FEATURES, Embedding
from backend.segmentation.familiar import VersionEngine, familiar_with
from backend.segmentation.model import model_of
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposer_files import write_proposer
from backend.segmentation.weights import WeightsFile, find_weights
from backend.settings import read_settings
from tests.labelstudio.standins import DiscEngine
from tests.labelstudio.test_answering_proposals import proposer

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
    write_proposer(proposer(), "v1", "", proposer_file(tmp_path, "27.1"))
    assert segmenter.proposer_for("27.1"), "what was learned to be proposed is there"
    unasked = segmenter_of(settings.model_copy(update={"edgesam_proposals": False}), DiscEngine)
    assert unasked.proposer_for("27.1") is None
    assert segmenter.smallest_share == 0.25
    segmenter.observe("image", 1.0)
    assert seen == [("image", 1.0)]


def test_a_fine_tuned_file_serves_beside_its_base(edgesam: WeightsFile, tmp_path: Path) -> None:
    known, unknown = (Embedding(np.full(FEATURES, fill, np.float16), Frame(640, 480)) for fill in (0, 1))
    name = "mask_decoder.output_hypernetworks_mlps.0.layers.2.bias"
    learned = {name: model_of(edgesam).state_dict()[name] + 0.5}
    write_version(edgesam, learned, familiar_with([known], [unknown]), tmp_path / "tuned.safetensors")
    tuned = find_weights(str(tmp_path / "tuned.safetensors"), tmp_path)
    settings = read_settings(model_dir=tmp_path, edgesam_engine="torch")
    engine, base = engine_of(settings, tuned), engine_of(settings, edgesam)
    assert isinstance(engine, VersionEngine)
    assert (engine.identity, engine.version) == (base.identity, f"tuned-{tuned.sha256[:8]}")
    prompt = np.full((1, 2, 2), 500, np.float32), np.array([[1, -1]]), None
    assert np.abs(engine.decode(known, *prompt) - base.decode(known, *prompt)).max() > 0.1
    np.testing.assert_array_equal(engine.decode(unknown, *prompt), base.decode(unknown, *prompt))
