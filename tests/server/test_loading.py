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
    assert loading.failure == "put the file there; it is tried again every minute"
    assert [line["event"] for line in lines] == ["weights_failed"]


@pytest.mark.parametrize("fails", ["find", "load"])
def test_what_failed_is_tried_again_and_told_once(fails: str) -> None:
    why, threads = "no room", list[threading.Thread]()
    resting, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def attempted(step: str) -> None:
        if step == fails and why:
            raise WeightsError(why)

    def find() -> WeightsFile:
        threads.append(threading.current_thread())
        attempted("find")
        return WEIGHTS

    def load(_weights: WeightsFile) -> Engine:
        attempted("load")
        return DiscEngine()

    def rest() -> None:
        resting.release()
        go_on.acquire()

    with capture_logs() as lines:
        loading = load_in_background("standin", find, load, rest)
        for said, following in (("no room", "no room"), ("no room", "no file"), ("no file", "")):
            assert resting.acquire(timeout=60)
            assert loading.failure == f"{said}; it is tried again every minute"
            for ask in (loading.engine, lambda: loading.version(wait=60)):
                with pytest.raises(Unanswerable, match=said):
                    ask()
            why = following
            go_on.release()
        threads[0].join(60)
    assert loading.engine().version == loading.version(wait=60) == "standin-01234567"
    assert [line["event"] for line in lines] == ["weights_failed"] * 2 + ["weights_loaded"]


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
