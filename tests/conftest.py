"""Real weights for every room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from backend.segmentation.weights import WeightsFile, find_weights

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

PHOTOS = Path(__file__).parent / "photos"


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    return Path(os.environ.get("EDGESAM_TEST_WEIGHTS", "~/.cache/edgesam")).expanduser()


@pytest.fixture(scope="session")
def mobile_sam(weights_folder: Path) -> WeightsFile:
    """MobileSAM's published checkpoint; where only a package index is reached, out of a source package there."""
    return find_weights("mobile_sam", weights_folder)


@pytest.fixture(scope="session")
def edgesam(weights_folder: Path) -> WeightsFile:
    return find_weights("edgesam", weights_folder)


@pytest.fixture(scope="session")
def graphs_folder(weights_folder: Path) -> Path:
    """Where OpenVINO's graphs are kept between runs: making them takes half a minute."""
    return weights_folder / "openvino"
