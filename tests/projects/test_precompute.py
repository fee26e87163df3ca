"""A project's images are encoded ahead, once."""

import json
from dataclasses import replace

import httpx
import pytest

from backend.labelstudio import client
from backend.labelstudio.unanswerable import Unanswerable
from backend.projects.precompute import precompute
from backend.segmentation.embedding_files import EmbeddingFiles
from backend.segmentation.embeddings import EmbeddingCache
from tests.labelstudio.standins import LABEL_STUDIO, DiscEngine, loader, picture, segmenter_of
from tests.labelstudio.test_answering import CONFIG

PAGE = 3


class Project:
    """Label Studio with one project, whose pages are small."""

    def __init__(self, tasks, label_config=CONFIG):
        self.tasks, self.label_config, self.pages = tasks, label_config, 0

    def __call__(self, request):
        assert request.headers["authorization"] == "Token legacy"
        if request.url.path == "/api/projects/5/":
            about = {
                "label_config": self.label_config,
                "task_number": len(self.tasks),
                "created_at": "2026-11-22T13:38:31Z",
            }
            return httpx.Response(200, json=about)
        if request.url.path == "/api/tasks/":
            self.pages += 1
            after = json.loads(request.url.params["query"])["filters"]["items"][0]["value"]
            found = [{"id": number, "data": {"image": name}} for number, name in self.tasks.items() if number > after]
            return httpx.Response(200, json={"tasks": found[:PAGE]})
        if request.url.path == "/data/upload/5/gone.jpg":
            return httpx.Response(404)
        number = int(request.url.path.rpartition("/")[2].removesuffix(".jpg"))
        return httpx.Response(200, content=picture(80, 60, (number * 9, 0, 0)))


def segmenter_at(folder, tasks, *about):
    project = Project(tasks, *about)
    images = loader(project, label_studio_url=LABEL_STUDIO, api_key="legacy")
    cache = EmbeddingCache(1, EmbeddingFiles(folder, 1 << 30))
    return replace(segmenter_of(DiscEngine(), images), embeddings=cache), project


def test_all_tasks_are_encoded_and_a_second_time_none(tmp_path):
    tasks = {number: f"/data/upload/5/{number}.jpg" for number in range(1, 8)}
    for encoded in (7, 0):
        segmenter, project = segmenter_at(tmp_path, tasks)
        work = precompute(segmenter, 5)
        assert work.tasks == 7
        assert sorted((done.task, done.failure) for done in work.done) == [(number, None) for number in tasks]
        assert segmenter.engine().encoded == encoded
        assert project.pages == 4
    assert len(list(tmp_path.glob("*.embedding"))) == 7


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ('<Image name="photo" value="$image"/>', r"in project 5 no brush.* add <BrushLabels"),
        ('<Text name="text" value="$text"/>', r"of project 5 has no <Image>"),
    ],
)
def test_a_project_in_which_nothing_holds_masks_is_refused(tmp_path, tags, told):
    segmenter, _ = segmenter_at(tmp_path, {1: "/data/upload/5/1.jpg"}, f"<View>{tags}</View>")
    with pytest.raises(Unanswerable, match=told):
        precompute(segmenter, 5)


def test_a_page_of_tasks_is_asked_for_again_and_in_the_end_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "PAUSES", (0.0, 0.0))
    answers = [503, 502, None, 503, 503, 503]
    segmenter, project = segmenter_at(tmp_path, {number: f"/data/upload/5/{number}.jpg" for number in range(1, 8)})

    def shaky(request):
        if request.url.path == "/api/tasks/" and (status := answers.pop(0)):
            return httpx.Response(status)
        return project(request)

    images = loader(shaky, label_studio_url=LABEL_STUDIO, api_key="legacy")
    work = precompute(replace(segmenter, images=images), 5)
    with pytest.raises(Unanswerable, match="answered 503: Label Studio is busy"):
        list(work.done)
    assert answers == []


def test_a_broken_task_is_told_and_the_others_are_done(tmp_path):
    segmenter, _ = segmenter_at(tmp_path, {1: "/data/upload/5/1.jpg", 2: "/data/upload/5/gone.jpg"})
    failures = {done.task: done.failure for done in precompute(segmenter, 5).done}
    assert failures[1] is None
    assert "gone.jpg answered 404" in failures[2]


def test_whoever_stops_keeps_what_is_done(tmp_path):
    segmenter, _ = segmenter_at(tmp_path, {number: f"/data/upload/5/{number}.jpg" for number in range(1, 20)})
    done = precompute(segmenter, 5).done
    next(done)
    done.close()
    kept = len(list(tmp_path.glob("*.embedding")))
    assert 1 <= kept < 19
    assert not list(tmp_path.glob("*.part"))


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(Unanswerable, match="set LABEL_STUDIO_URL"):
        precompute(segmenter_of(images=loader(lambda _: httpx.Response(500))), 5)
    segmenter, _ = segmenter_at(tmp_path, {})
    images = loader(lambda _: httpx.Response(404), label_studio_url=LABEL_STUDIO, api_key="legacy")
    segmenter = replace(segmenter, images=images)
    with pytest.raises(Unanswerable, match=r"/api/projects/6/ answered 404 .*: is there such a project"):
        precompute(segmenter, 6)
