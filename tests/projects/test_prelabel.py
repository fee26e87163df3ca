"""A whole project's boxes become masks, once for each version of the model."""

import json

import httpx
import numpy as np
import pytest

from backend.labelstudio import rle
from backend.labelstudio.unanswerable import Unanswerable
from backend.projects.prelabel import prelabel
from backend.segmentation.proposals import Linear, Proposer, Usual
from tests.labelstudio.standins import LABEL_STUDIO, DiscEngine, loader, segmenter_of
from tests.labelstudio.test_answering import CONFIG, LEFT, RIGHT, boxed, task
from tests.segmentation.spots import EVERYWHERE


class Project:
    """Label Studio with one project; `stored` is what it was given, in order, by task."""

    def __init__(self, *tasks, refuses=()):
        self.tasks = {number: {**one, "id": number} for number, one in enumerate(tasks, 1)}
        self.stored, self.refuses, self.meanwhile = {}, refuses, {}

    def __call__(self, request):
        assert request.headers["authorization"] == "Token legacy"
        if request.url.path == "/api/projects/5/":
            about = {"label_config": CONFIG, "task_number": len(self.tasks), "created_at": "2026-11-22T13:38:31Z"}
            return httpx.Response(200, json=about)
        if request.url.path == "/api/tasks/":
            assert request.url.params["fields"] == "all"
            after = json.loads(request.url.params["query"])["filters"]["items"][0]["value"]
            return httpx.Response(
                200, json={"tasks": [one for number, one in self.tasks.items() if number > after][:2]}
            )
        assert request.url.path == "/api/predictions/"
        if request.method == "GET":
            number = int(request.url.params["task"])
            return httpx.Response(
                200, json=[*self.tasks[number].get("predictions", []), *self.meanwhile.get(number, [])]
            )
        prediction = json.loads(request.content)
        if prediction["task"] in self.refuses:
            return httpx.Response(400, json={"detail": "no, thanks"})
        self.stored[prediction.pop("task")] = prediction
        return httpx.Response(201, json={"id": 1})


def done(project, **settings):
    images = loader(project, label_studio_url=LABEL_STUDIO, api_key="legacy")
    work = prelabel(segmenter_of(images=images, **settings), 5)
    assert work.tasks == len(project.tasks)
    return {one.task: (one.made, one.failure) for one in work.done}


def everywhere(object_is):
    """Says of each place that it is a cat, this surely, and of each mask that it is whole."""
    places = Linear(np.zeros((2, 512), np.float32), np.array([0, object_is], np.float32))
    return Proposer(
        ("Cat",), places, Linear(np.zeros((1, 15), np.float32), np.ones(1, np.float32)), Usual(0, 0), 0.5, EVERYWHERE
    )


def test_tasks_on_which_nothing_is_proposed_are_left():
    proposer = everywhere(object_is=-9)
    project = Project(task(), boxed(LEFT))
    assert done(project, proposer_for=lambda _: ("disc-v1", proposer)) == {1: (False, None), 2: (True, None)}
    assert project.stored.keys() == {2}


def test_what_is_proposed_is_stored():
    proposer = everywhere(object_is=9)
    project = Project(task())
    assert done(project, proposer_for=lambda _: ("disc-v1", proposer)) == {1: (True, None)}
    assert {region["value"]["brushlabels"][0] for region in project.stored[1]["result"]} == {"Cat"}


def test_boxes_of_detectors_and_people_become_predictions():
    project = Project(boxed(LEFT, RIGHT), task(), boxed(LEFT, by="annotations", label="Cat"))
    assert done(project) == {1: (True, None), 2: (False, None), 3: (True, None)}
    assert project.stored.keys() == {1, 3}
    assert project.stored[1]["model_version"] == "disc-v1"
    assert project.stored[1]["score"] > 0.9
    left, right = (rle.decode(region["value"]["rle"], 80, 60) for region in project.stored[1]["result"])
    assert left[24, 20]
    assert right[24, 60]
    assert [region["value"]["brushlabels"] for region in project.stored[3]["result"]] == [["Cat"]]


def test_the_projects_version_answers_under_its_whole_name():
    """Two Label Studios may have given two projects one number."""
    asked = []

    def version_for(engine, project):
        asked.append(project)
        return engine

    assert done(Project(boxed(LEFT)), version_for=version_for) == {1: (True, None)}
    assert set(asked) == {"5.1795354711"}


def test_what_has_masks_of_this_version_is_left_as_it_is():
    old, new = boxed(LEFT), boxed(RIGHT)
    old["predictions"].append({"result": [], "model_version": "disc-v0", "created_at": "2026-11-28T10:00:00Z"})
    new["predictions"].append({"result": [], "model_version": "disc-v1", "created_at": "2026-11-28T10:00:00Z"})
    project = Project(old, new)
    assert done(project) == {1: (True, None), 2: (False, None)}
    assert project.stored.keys() == {1}


def test_what_somebody_else_made_meanwhile_is_not_made_again():
    project = Project(boxed(LEFT), boxed(RIGHT))
    project.meanwhile = {1: [{"model_version": "disc-v1"}]}
    assert done(project) == {1: (False, None), 2: (True, None)}
    assert project.stored.keys() == {2}


def test_a_fault_of_ours_is_that_tasks_failure(monkeypatch):
    broken = DiscEngine()
    decode = broken.decode

    def decode_once(*arguments):
        broken.decode = decode
        raise RuntimeError("out of order")

    broken.decode = decode_once
    found = done(Project(boxed(LEFT), boxed(LEFT), boxed(RIGHT)), engine=broken)
    assert sorted(made for made, _ in found.values()) == [False, True, True]
    assert [failure for _, failure in found.values() if failure] == ["RuntimeError: out of order"]


def test_what_fails_is_told_and_the_others_are_done():
    project = Project({**boxed(LEFT), "data": {}}, boxed(LEFT), boxed(RIGHT), refuses=[2])
    found = done(project)
    assert found[3] == (True, None)
    assert "the task's data has no address" in found[1][1]
    assert "no, thanks" in found[2][1]
    assert project.stored.keys() == {3}


def test_without_label_studio_it_says_what_to_set():
    with pytest.raises(Unanswerable, match="set LABEL_STUDIO_URL"):
        prelabel(segmenter_of(images=loader(lambda _: httpx.Response(500))), 5)
