"""Tasks that nobody has labelled get masks of what looks like the project's accepted ones."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from backend.accepted.annotations import Annotation, accept
from backend.accepted.database import FILE
from backend.accepted.versions import proposer_file
from backend.labelstudio import answering_proposals, rle
from backend.labelstudio.answering import answer
from backend.labelstudio.answering_proposals import SECONDS
from backend.labelstudio.places import Places
from backend.labelstudio.project_proposers import proposer_for
from backend.labelstudio.segmenter import Segmenter
from backend.segmentation.engines import Embedding, Engine, Features, Floats
from backend.segmentation.proposals import Linear, Proposer, Usual
from backend.segmentation.proposer_files import write_proposer
from tests.labelstudio.standins import DiscEngine, data_uri, picture, segmenter_of
from tests.segmentation.spots import EVERYWHERE, SpotEngine, seen

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Cell"/><Label value="Dirt"/></BrushLabels></View>"""
KEY = "27.1795354711"
SPOTS = [(10, 8, 0), (10, 40, 1), (36, 55, 0)]


class Spotted(SpotEngine):
    """Sees the same spots in each picture."""

    def encode(self, canvas: Floats) -> Features:
        return seen(SPOTS).features


def proposer(kinds: tuple[str | None, ...] = ("Cell", "Dirt")) -> Proposer:
    places = np.zeros((3, 512), np.float32)
    places[1, 0] = places[2, 1] = 10
    masks = Linear(np.zeros((1, 15), np.float32), np.ones(1, np.float32))
    return Proposer(kinds, Linear(places, np.array([0, -15, -15], np.float32)), masks, Usual(6, 0), 0.5, EVERYWHERE)


def segmenter(proposes: Proposer | None = None, version: str = "spots-1") -> Segmenter:
    judged = (version, proposes or proposer())
    return segmenter_of(Spotted(), proposer_for=lambda project: judged if project == "27" else None)


def task(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "project": 27, "data": {"image": data_uri(picture(640, 480))}, **more}


def labels_in(prediction: Any, name: str = "brushlabels") -> list[Any]:
    return sorted((region["value"].get(name) for region in prediction["result"]), key=str)


@pytest.mark.parametrize("tasks", [1, 3])
def test_each_task_gets_its_masks_opened_or_retrieved(tasks: int) -> None:
    predictions = answer(segmenter(), [task(number) for number in range(tasks)], CONFIG, None)
    assert len(predictions) == tasks
    for prediction in predictions:
        assert isinstance(prediction, dict)
        assert prediction["model_version"] == "spots-1"
        assert labels_in(prediction) == [["Cell"], ["Cell"], ["Dirt"]]
        surely = pytest.approx(1 / (1 + np.exp(-1)))
        assert [region["score"] for region in prediction["result"]] == [surely] * 3, "as sure as the second fit is"
        assert prediction["score"] == surely
        [dirt] = [region for region in prediction["result"] if region["value"]["brushlabels"] == ["Dirt"]]
        mask = rle.decode(dirt["value"]["rle"], 640, 480)
        assert mask[105, 405]
        assert mask.sum() == pytest.approx(np.pi * 35**2, rel=0.1), "a spot of 3.5 places of 10 pixels"


def region(**more: Any) -> dict[str, Any]:
    return {"result": [{"type": "brushlabels", "value": {}}], **more}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"annotations": [region()]}, 0),
        ({"annotations": [region(was_cancelled=True)]}, 0),  # skipped
        ({"annotations": [{"result": []}]}, 0),  # submitted so: nothing is there
        ({"drafts": [region()]}, 0),
        ({"predictions": [region(model_version="another")]}, 3),
        ({"project": 28}, 0),
        ({"project": None}, 0),
        ({"annotations": None, "drafts": []}, 3),
    ],
)
def test_only_tasks_that_nobody_has_labelled(more: dict[str, Any], expected: int) -> None:
    [prediction] = answer(segmenter(), [task(**more)], CONFIG, None)
    assert (len(prediction["result"]) if isinstance(prediction, dict) else 0) == expected


def test_boxes_on_a_task_come_first() -> None:
    box = {
        "type": "rectanglelabels",
        "from_name": "found",
        "to_name": "image",
        "value": {"x": 5, "y": 5, "width": 20, "height": 30, "rotation": 0, "rectanglelabels": ["Dirt"]},
    }
    [prediction] = answer(
        segmenter(), [task(predictions=[{"result": [box], "model_version": "detector"}])], CONFIG, None
    )
    assert labels_in(prediction) == [["Dirt"]]


def test_another_version_than_that_which_was_judged_proposes_nothing() -> None:
    assert answer(segmenter(version="spots-2"), [task()], CONFIG, None) == [[]]


def test_labels_that_the_interface_has_no_more_are_not_proposed() -> None:
    without = CONFIG.replace('<Label value="Dirt"/>', '<Label value="Dust"/>')
    [prediction] = answer(segmenter(), [task()], without, None)
    assert labels_in(prediction) == [["Cell"], ["Cell"]]
    gone = CONFIG.replace("Cell", "Cells").replace("Dirt", "Dust")
    assert answer(segmenter(), [task()], gone, None) == [[]]


def test_masks_without_labels_are_proposed_without() -> None:
    plain = '<View><Image name="image" value="$image"/><Brush name="brush" toName="image"/></View>'
    [prediction] = answer(segmenter(proposer((None, None))), [task()], plain, None)
    assert labels_in(prediction) == [None, None, None]


def test_polygons_where_the_interface_holds_polygons() -> None:
    polygons = CONFIG.replace("BrushLabels", "PolygonLabels")
    [prediction] = answer(segmenter(), [task()], polygons, None)
    assert labels_in(prediction, "polygonlabels") == [["Cell"], ["Cell"], ["Dirt"]]


def test_each_picture_of_a_list() -> None:
    both = CONFIG.replace('value="$image"', 'valueList="$images"')
    pictures = [data_uri(picture(640, 480)), data_uri(picture(640, 480, (9, 9, 9)))]
    [prediction] = answer(segmenter(), [{"id": 1, "project": 27, "data": {"images": pictures}}], both, None)
    assert isinstance(prediction, dict)
    assert sorted(region["item_index"] for region in prediction["result"]) == [0, 0, 0, 1, 1, 1]


def test_of_a_list_what_comes_is_answered_and_no_more_than_four_are_looked_at() -> None:
    both = CONFIG.replace('value="$image"', 'valueList="$images"')
    pictures = [data_uri(picture(640, 480, (n, 9, 9))) for n in range(0, 60, 10)]
    pictures[1] = "data:,no"
    [prediction] = answer(segmenter(), [{"id": 1, "project": 27, "data": {"images": pictures}}], both, None)
    assert isinstance(prediction, dict)
    assert {region["item_index"] for region in prediction["result"]} == {0, 2, 3}


def test_only_pictures_that_have_something_to_hold_masks() -> None:
    two = CONFIG.replace("<View>", '<View><Image name="other" value="$other"/>')
    [prediction] = answer(segmenter(), [{**task(), "data": {**task()["data"], "other": "data:,no"}}], two, None)
    assert isinstance(prediction, dict)
    assert {region["to_name"] for region in prediction["result"]} == {"image"}


class OtherEyes(Spotted):
    """A version whose encoder says something else."""

    identity = "other-torch"

    def encode(self, canvas: Floats) -> Features:
        features = seen(SPOTS).features.copy()
        features[:, :2] = 0
        return features


class Versioned(Spotted):
    """Its base knows where spots are, and what it learned answers."""

    def __init__(self) -> None:
        super().__init__()
        self.learned = OtherEyes()

    def for_picture(self, _embedding: Embedding) -> Engine:
        return self.learned


def test_a_version_that_is_on_its_way_is_waited_for() -> None:
    engine = Spotted()
    loading = DiscEngine()
    proposing = segmenter_of(
        engine,
        version_for=lambda _base, _project: loading,
        version_once_loaded=lambda _base, _project: engine,
        proposer_for=lambda _: ("spots-1", proposer()),
    )
    [prediction] = answer(proposing, [task()], CONFIG, None)
    assert labels_in(prediction) == [["Cell"], ["Cell"], ["Dirt"]]


def test_the_base_says_where_to_click_and_the_version_answers() -> None:
    base, engine = Spotted(), Versioned()
    proposing = segmenter_of(
        base, version_once_loaded=lambda _base, _project: engine, proposer_for=lambda _: ("spots-1", proposer())
    )
    [prediction] = answer(proposing, [task()], CONFIG, None)
    assert labels_in(prediction) == [["Cell"], ["Cell"], ["Dirt"]]
    assert not base.asked + engine.asked
    assert all((one.features[:, :2] == 0).all() for one in engine.learned.asked)


class Gone(Exception):  # noqa: N818
    """The caller hung up."""


def test_who_hung_up_gets_no_more_clicks() -> None:
    proposing, left = segmenter(), [None, None]

    def go_on() -> None:
        if not left:
            raise Gone
        left.pop()

    with pytest.raises(Gone):
        answer(proposing, [task()], CONFIG, None, go_on=go_on)


def test_after_three_seconds_what_is_found_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, *[SECONDS - 0.1, SECONDS + 0.1] * 9])
    monkeypatch.setattr(answering_proposals, "monotonic", lambda: next(times))
    unsure = replace(proposer(), masks=Linear(np.zeros((1, 15), np.float32), np.array([1.3], np.float32)))
    proposing = segmenter(unsure)
    [prediction] = answer(proposing, [task()], CONFIG, None)
    assert prediction
    engine = proposing.engine()
    assert isinstance(engine, Spotted)
    assert len(engine.asked) == 2, "a few clicks, and their masks at last"


def test_clicks_of_others_go_first() -> None:
    asked = []

    class Watched(Places):
        def taken(self, patient: bool = False) -> AbstractContextManager[None]:
            asked.append(patient)
            return super().taken(patient)

    watched = segmenter_of(Spotted(), proposer_for=lambda _: ("spots-1", proposer()), at_once=Watched(4))
    answer(watched, [task()], CONFIG, None)
    assert asked == [True, True]


def test_a_picture_that_does_not_come_is_a_line_in_the_log() -> None:
    with structlog.testing.capture_logs() as logs:
        nothing, something = answer(segmenter(), [{**task(), "data": {"image": "data:,no"}}, task(2)], CONFIG, None)
    assert nothing == []
    assert isinstance(something, dict)
    assert [line["event"] for line in logs] == ["left_out"]


def test_a_project_is_found_by_its_number_or_its_whole_name(tmp_path: Path) -> None:
    assert proposer_for(tmp_path, None) is None
    assert proposer_for(tmp_path, KEY) is None
    write_proposer(proposer(), "v1", "", proposer_file(tmp_path, KEY))
    judged = proposer_for(tmp_path, KEY)
    assert judged
    assert judged[0] == "v1"
    assert proposer_for(tmp_path, "28.1795354711") is None
    assert proposer_for(tmp_path, "27") is None, "nothing else is known of it"
    accept(tmp_path, [Annotation(KEY, 1, 1, {}, [], "2026-11-22T13:38:42.747451Z")])
    assert proposer_for(tmp_path, "27") == judged
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    assert proposer_for(tmp_path, KEY) == judged
    assert proposer_for(tmp_path, "27") is None, "opening a task goes on"


@pytest.mark.parametrize(
    "name", ["../../away.1", "/abs/away.1", "27.\0", "27.1/..", "", "\ud800", "٢٧", "27.", "9" * 300]
)
def test_a_name_that_is_none_is_no_path(tmp_path: Path, name: str) -> None:
    assert proposer_for(tmp_path, name) is None


def test_a_new_one_counts_at_once_and_a_torn_one_not_at_all(tmp_path: Path) -> None:
    file = proposer_file(tmp_path, KEY)
    write_proposer(proposer(), "v1", "", file)
    assert proposer_for(tmp_path, KEY)
    write_proposer(proposer(), "v2", "", file)
    judged = proposer_for(tmp_path, KEY)
    assert judged
    assert judged[0] == "v2"
    file.with_suffix(".new").write_bytes(b"half a file")
    file.with_suffix(".new").replace(file)
    with structlog.testing.capture_logs() as logs:
        assert proposer_for(tmp_path, KEY) is None
        assert proposer_for(tmp_path, KEY) is None
    assert [line["event"] for line in logs] == ["proposer_unusable"], "told once"
    file.unlink()
    assert proposer_for(tmp_path, KEY) is None
