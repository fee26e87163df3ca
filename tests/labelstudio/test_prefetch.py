"""The image of an opened task is encoded before the first click, and clicks never wait for that of another."""

import json
import threading

import httpx

from backend.labelstudio.answering import answer, prepare
from backend.labelstudio.prefetch import LONGEST, Prefetch, following
from tests.labelstudio.standins import LABEL_STUDIO, DiscEngine, data_uri, loader, picture, segmenter_of
from tests.labelstudio.test_answering import CONFIG, context

PATIENCE = 60


class Watched:
    """A Prefetch whose work is noted, and stands still until it is let go."""

    def __init__(self, following=lambda task: []):
        self.done, self.go, self.began = [], threading.Event(), threading.Event()
        self.expected, self.complete = 0, threading.Event()
        self.prefetch = Prefetch(self.prepare, following)

    def prepare(self, task, label_config):
        self.began.set()
        assert self.go.wait(PATIENCE)
        self.done.append(task["id"])
        if len(self.done) == self.expected:
            self.complete.set()
        if task["id"] == "broken":
            raise OSError("no such picture")

    def opens(self, *numbers):
        for number in numbers:
            self.prefetch.opened({"id": number}, "config")
            assert self.began.wait(PATIENCE)

    def ends(self, expected):
        self.expected = expected
        self.go.set()
        assert self.complete.wait(PATIENCE)
        return self.done


def test_the_task_opened_last_comes_first():
    watched = Watched()
    watched.opens(1, 2, 3)
    assert watched.ends(3) == [1, 3, 2]


def test_the_next_tasks_come_behind_all_that_are_open():
    coming = {1: [{"id": 11}, {"id": 12}], 2: [{"id": 21}]}
    watched = Watched(lambda task: coming.get(task["id"], []))
    watched.opens(1, 2)
    assert watched.ends(5) == [1, 2, 21, 11, 12]


def test_a_task_opened_long_ago_is_forgotten():
    watched = Watched()
    watched.opens(*range(LONGEST + 3))
    assert watched.ends(LONGEST + 1) == [0, *range(LONGEST + 2, 2, -1)]


def test_the_annotations_of_a_task_are_not_remembered():
    seen, done = [], threading.Event()

    def prepare(task, label_config):
        seen.append((task, label_config))
        done.set()

    task = {"id": 1, "project": "1.5", "data": {"image": "a"}}
    Prefetch(prepare, lambda _: []).opened({**task, "annotations": [{"result": []}]}, "config")
    assert done.wait(PATIENCE)
    assert seen == [(task, "config")]


def test_a_failure_does_not_end_it():
    watched = Watched()
    watched.opens("broken", 2)
    assert watched.ends(2) == ["broken", 2]


def test_opening_a_task_tells_it_and_retrieving_predictions_does_not():
    opened = []
    segmenter = segmenter_of(opened=lambda task, label_config: opened.append((task["id"], task["project"])))
    tasks = [{"id": number, "project": 1, "data": {}} for number in (1, 2)]
    assert answer(segmenter, tasks, CONFIG, None, "1.5") == [[], []]
    assert opened == []
    assert answer(segmenter, tasks[:1], CONFIG, None, "1.5") == [[]]
    assert opened == [(1, "1.5")]


def test_a_click_on_a_prepared_task_encodes_nothing():
    engine = DiscEngine()
    segmenter = segmenter_of(engine)
    task = {"id": 1, "data": {"image": data_uri(picture(80, 60))}}
    prepare(segmenter, task, CONFIG)
    assert engine.encoded == 1
    [prediction] = answer(segmenter, [task], CONFIG, context())
    assert prediction["result"]
    assert engine.encoded == 1


def test_only_pictures_that_a_brush_can_mark_are_prepared():
    engine = DiscEngine()
    task = {"id": 1, "data": {"image": data_uri(picture(80, 60)), "more": [data_uri(picture(8, 6)), "x"]}}
    prepare(segmenter_of(engine), task, '<View><Image name="image" value="$image"/></View>')
    assert engine.encoded == 0
    config = CONFIG.replace('value="$image"', 'valueList="$more"')
    prepare(segmenter_of(engine), task, config)
    assert engine.encoded == 1
    prepare(segmenter_of(engine), {"id": 1, "data": {}}, config)
    assert engine.encoded == 1


def test_the_next_tasks_are_asked_of_label_studio():
    asked = []

    def studio(request):
        asked.append(request)
        return httpx.Response(200, json={"tasks": [{"id": 8, "data": {"image": "a"}}, {"id": 9, "data": {}}]})

    images = loader(studio, label_studio_url=LABEL_STUDIO, api_key="legacy")
    found = following(images, {"id": 7, "project": "3.14"})
    assert [(task["id"], task["project"]) for task in found] == [(8, "3.14"), (9, "3.14")]
    [request] = asked
    assert request.headers["authorization"] == "Token legacy"
    params = dict(request.url.params)
    assert (request.url.path, params["project"], params["page_size"]) == ("/api/tasks/", "3", "2")
    conditions = json.loads(params["query"])["filters"]["items"]
    assert [(one["filter"], one["operator"], one["value"]) for one in conditions] == [
        ("filter:tasks:id", "greater", 7),
        ("filter:tasks:total_annotations", "equal", 0),
    ]


def test_without_a_token_nobody_is_asked():
    def nobody(request):
        raise AssertionError("asked")

    assert following(loader(nobody, label_studio_url=LABEL_STUDIO), {"id": 7, "project": "3.14"}) == []
    known = loader(nobody, label_studio_url=LABEL_STUDIO, api_key="legacy")
    assert following(known, {"id": "7", "project": "3.14"}) == []
    assert following(known, {"id": 7}) == []
