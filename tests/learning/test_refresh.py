"""What a job learns from: Label Studio's word where it answers, else what webhooks brought."""

import json

import httpx
import pytest

from backend.accepted.annotations import Annotation, accept, accepted
from backend.labelstudio.connections import remember
from backend.labelstudio.interface import Image
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.refresh import project_of, refreshed
from tests.labelstudio.standins import LABEL_STUDIO, loader

KEY, UPDATED = "27.1795354711", "2026-11-22T13:38:42.747451Z"
CONFIG = '<View><Image name="image" value="$image"/></View>'
DATA = {"image": "/data/upload/27/52e608f5-dog.jpg"}


def annotation(number, cancelled=False):
    return {"id": number, "was_cancelled": cancelled, "result": [{"id": f"r{number}"}], "updated_at": UPDATED}


class Studio:
    """Answers as Label Studio does; `answers` may be set to something else."""

    tasks = ({"id": 1, "data": DATA, "annotations": [annotation(5), annotation(6, cancelled=True)]},)
    created = "2026-11-22T13:38:31.291014Z"
    works = True

    def __call__(self, request):
        if not self.works:
            return httpx.Response(401)
        if request.url.path == "/api/projects/27/":
            return httpx.Response(200, json={"label_config": CONFIG, "task_number": 2, "created_at": self.created})
        after = json.loads(request.url.params["query"])["filters"]["items"][0]["value"]
        return httpx.Response(200, json={"tasks": [task for task in self.tasks if task["id"] > after]})


@pytest.fixture
def studio():
    return Studio()


@pytest.fixture
def images(studio, tmp_path):
    return loader(studio, label_studio_url=LABEL_STUDIO, api_key="legacy", model_dir=tmp_path)


@pytest.fixture
def webhooks(tmp_path):
    """What webhooks brought: an annotation that is gone by now."""
    accept(tmp_path, [Annotation(KEY, 4, 1, DATA, [{"id": "old"}], UPDATED)])


@pytest.mark.usefixtures("webhooks")
def test_what_label_studio_has_now_is_the_truth(images, tmp_path):
    assert refreshed(tmp_path, images, KEY).images == (Image("image", "$image"),)
    assert list(accepted(tmp_path, KEY)) == [Annotation(KEY, 5, 1, DATA, [{"id": "r5"}], UPDATED)]


@pytest.mark.usefixtures("webhooks")
def test_where_it_does_not_answer_the_webhooks_count(studio, images, tmp_path):
    studio.works = False
    with pytest.raises(Unanswerable, match=r"nothing tells how project 27 is labelled: http.* answered 401"):
        refreshed(tmp_path, images, KEY)
    remember(tmp_path, KEY, LABEL_STUDIO, "token", CONFIG)
    assert refreshed(tmp_path, images, KEY).images == (Image("image", "$image"),)
    assert [one.number for one in accepted(tmp_path, KEY)] == [4]


@pytest.mark.usefixtures("webhooks")
def test_a_project_of_the_same_number_elsewhere_is_another(studio, images, tmp_path):
    studio.created = "2026-11-23T00:00:00Z"
    remember(tmp_path, KEY, LABEL_STUDIO, "token", CONFIG)
    refreshed(tmp_path, images, KEY)
    assert [one.number for one in accepted(tmp_path, KEY)] == [4]


def test_label_studio_names_the_project(images, tmp_path):
    assert project_of(tmp_path, images, 27) == KEY


def test_or_it_is_the_newest_that_is_known(studio, images, tmp_path):
    studio.works = False
    for project in ("27.5", "27.7", "3.9"):
        accept(tmp_path, [Annotation(project, 1, 1, DATA, [], UPDATED)])
    assert project_of(tmp_path, images, 27) == "27.7"
    with pytest.raises(Unanswerable, match=r"no project 28 is known: .* answered 401"):
        project_of(tmp_path, images, 28)


def test_where_no_token_is_known_it_says_what_to_set(studio, tmp_path):
    images = loader(studio, label_studio_url=LABEL_STUDIO, model_dir=tmp_path)
    with pytest.raises(Unanswerable, match="nothing tells how project 27 is labelled: set LABEL_STUDIO_URL"):
        refreshed(tmp_path, images, KEY)
