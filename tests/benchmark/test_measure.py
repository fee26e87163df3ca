from __future__ import annotations

from pathlib import Path

import pytest

from backend.benchmark.errors import BenchmarkError
from backend.benchmark.measure import CLICKS_OF_ONE, WARM_CLICKS, crowd_of, waits_of
from backend.benchmark.photographs import Photograph
from backend.benchmark.studio import Studio
from backend.segmentation.prompts import Point
from tests.benchmark.standins import answering, listening, standin_app, watched

pytestmark = pytest.mark.usefixtures("quick")
KINDS = ("cold", "warm", "opened")


def test_requests_alternate_and_each_round_has_an_image_of_its_own(tmp_path: Path, studio: Studio) -> None:
    asked: list[str] = []
    photographs: list[Path] = []

    def peer(photograph: Photograph, point: Point) -> float:
        asked.append("peer")
        photographs.append(photograph.path)
        return 0.5

    with listening(watched(standin_app(tmp_path), asked.append)) as address:
        waits = waits_of(address, studio, peer, 2, lambda line: None)
    clicks = 3 * (1 + WARM_CLICKS)  # two rounds and one that warms up
    opened = ["/predict"] * 2 * 2  # opened and clicked, in two rounds
    assert asked == 2 * (["/predict", "peer"] * clicks + opened)
    assert len(set(photographs)) == 6
    assert [(wait.size, wait.kind) for wait in waits] == [
        (size, kind) for size in ("640x480", "1080p") for kind in KINDS
    ]
    assert [len(wait.backend) for wait in waits] == 2 * [2, 2 * WARM_CLICKS, 2]
    assert [len(wait.peer) for wait in waits] == 2 * [2, 2 * WARM_CLICKS, 0]
    assert waits[0].peer_ms == 500


def test_without_a_peer_there_are_no_ratios(backend: str, studio: Studio) -> None:
    waits = waits_of(backend, studio, None, 1, lambda line: None)
    assert {wait.times_faster for wait in waits} == {None}
    assert all(wait.backend_ms > 0 for wait in waits)


def test_each_annotator_clicks_on_an_image_of_their_own(backend: str, studio: Studio) -> None:
    crowd = crowd_of(backend, studio, 4)
    assert (crowd.annotators, len(crowd.waits)) == (4, 4 * CLICKS_OF_ONE)
    assert len(list(studio.folder.iterdir())) == 4
    assert 0 < crowd.p50_ms <= crowd.p95_ms <= crowd.slowest_ms


def test_a_failure_of_one_annotator_ends_it(studio: Studio) -> None:
    with listening(answering(500, b"broken"), "off") as address, pytest.raises(BenchmarkError, match="500: broken"):
        crowd_of(address, studio, 2)
