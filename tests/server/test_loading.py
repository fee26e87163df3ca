"""Loading beside the service."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backend.labelstudio.configured import engine_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError, WeightsFile
from backend.server.loading import load_in_background, version_of
from backend.settings import read_settings
from tests.server.standins import WEIGHTS, DiscEngine


def test_the_version_is_known_before_the_engine_and_who_asks_for_the_engine_waits() -> None:
    go_on = threading.Event()

    def load(_weights: WeightsFile) -> Engine:
        go_on.wait()
        return DiscEngine()

    loading = load_in_background("standin", lambda: WEIGHTS, load)
    assert loading.version(wait=60) == "standin-01234567"
    assert loading.failure is None
    got: list[Engine] = []
    waiting = threading.Thread(target=lambda: got.append(loading.engine()))
    waiting.start()
    assert not got
    go_on.set()
    waiting.join(60)
    assert got[0].version == "standin-01234567"


def test_while_a_download_runs_the_version_is_the_name() -> None:
    go_on = threading.Event()

    def find() -> WeightsFile:
        go_on.wait()
        return WEIGHTS

    loading = load_in_background("standin", find, lambda _: DiscEngine())
    assert loading.version(wait=0) == "standin"
    go_on.set()
    assert loading.version(wait=60) == "standin-01234567"


def test_our_own_error_is_told_in_its_words_again_and_again() -> None:
    def find() -> WeightsFile:
        raise WeightsError("put the file there")

    with capture_logs() as lines:
        loading = load_in_background("standin", find, lambda _: DiscEngine())
        for _ in range(2):
            with pytest.raises(Unanswerable, match="put the file there") as error:
                loading.engine()
            assert error.value.link == "weights"
        with pytest.raises(Unanswerable, match="put the file there"):
            loading.version(wait=60)
    assert loading.failure == "put the file there; then start this service again"
    assert [line["event"] for line in lines] == ["weights_failed"]


def test_of_a_foreign_error_only_the_kind_is_told() -> None:
    def load(_weights: WeightsFile) -> Engine:
        raise MemoryError("inner matters")

    loading = load_in_background("standin", lambda: WEIGHTS, load)
    with pytest.raises(Unanswerable, match="MemoryError") as error:
        loading.engine()
    assert "inner matters" not in str(error.value)
    with pytest.raises(Unanswerable, match="MemoryError"):
        loading.version(wait=60)


def test_the_version_of_the_file_is_the_one_that_the_engine_names(edgesam: WeightsFile, weights_folder: Path) -> None:
    assert engine_of(read_settings(model_dir=weights_folder), edgesam).version == version_of(edgesam)
