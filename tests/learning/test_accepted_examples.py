"""Annotations -> examples: the pictures that serving knows, with a label map of what was accepted."""

from dataclasses import replace

import httpx
import numpy as np
import pytest
from structlog.testing import capture_logs

from backend.accepted.annotations import Annotation
from backend.labelstudio import rle
from backend.labelstudio.accepted_masks import AcceptedMask
from backend.labelstudio.interface import interface_of
from backend.labelstudio.segmenter import sight_of
from backend.learning import accepted_examples
from backend.learning.accepted_examples import ACCEPTED, DRAWN, label_map, pictures_of
from backend.segmentation.preprocess import Frame
from tests.labelstudio.standins import DiscEngine, data_uri, loader, picture, segmenter_of

INTERFACE = interface_of(
    '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">'
    '<Label value="Cell"/></BrushLabels></View>'
)
WIDTH, HEIGHT = 80, 60
HERE = data_uri(picture(WIDTH, HEIGHT))
LARGE, SMALL = (slice(0, 40), slice(0, 40)), (slice(10, 20), slice(10, 20))


def filled(*windows, size=(WIDTH, HEIGHT)):
    mask = np.zeros(size[::-1], bool)
    for window in windows:
        mask[window] = True
    return mask


def region(mask, **more):
    height, width = mask.shape
    about = {"type": "brushlabels", "from_name": "brush", "to_name": "image", "origin": "manual"}
    size = {"original_width": width, "original_height": height}
    return {"id": "a", **about, **size, "value": {"format": "rle", "rle": rle.encode(mask)}} | more


def annotation(task, *regions, address=HERE, number=None, updated="2026-11-22T13:38:42.747451Z"):
    return Annotation("27.5", number or task, task, {"image": address}, list(regions), updated)


@pytest.fixture
def made():
    """made(*annotations) -> examples; .engine has what was encoded, .told what was said."""

    class Made:
        engine = DiscEngine()
        told: list[str] = []  # noqa: RUF012

        def __init__(self):
            self.segmenter = segmenter_of(self.engine, loader(lambda _: httpx.Response(404)))

        def __call__(self, *annotations):
            had = pictures_of(self.segmenter, self.engine, annotations, INTERFACE, self.told.append)
            self.places = [(one.address, one.task["id"]) for one in had.pictures]
            self.missing = [str(why) for why in had.missing]
            return [one.example for one in had.pictures]

    return Made()


def test_an_example_of_a_picture(made):
    [example] = made(annotation(1, region(filled(LARGE)), region(filled(SMALL), score=0.9)))
    assert (example.labels == filled(LARGE).astype(int) + filled(SMALL)).all()
    assert example.labels.dtype == np.int16
    assert example.weights == (DRAWN, ACCEPTED)
    assert example.frame == Frame(WIDTH, HEIGHT)
    assert made.told[-1] == "pictures with masks: 1"
    assert made.places == [(HERE, 1)]


def test_the_embedding_is_the_one_that_serving_made(made):
    task = {"id": 1, "project": "27.5", "data": {"image": HERE}}
    with made.segmenter.at_once.taken():
        served = sight_of(made.segmenter, made.engine, HERE, task, urgent=True).embedding
    encoded = made.engine.encoded
    [example] = made(annotation(1, region(filled(LARGE))))
    assert example.features is served.features
    assert made.engine.encoded == encoded


def test_the_same_picture_in_another_task_has_the_same_key(made):
    other = data_uri(picture(WIDTH, HEIGHT, (9, 9, 200)))
    one, again, another = made(
        annotation(1, region(filled(LARGE))),
        annotation(2, region(filled(SMALL))),
        annotation(3, region(filled(SMALL)), address=other),
    )
    assert one.key == again.key != another.key


def test_of_two_annotations_of_a_task_the_first_counts(made):
    [example] = made(
        annotation(1, region(filled(SMALL)), number=7, updated="2026-11-22T13:39:00Z"),
        annotation(1, region(filled(LARGE)), number=8, updated="2026-11-22T13:38:00Z"),
    )
    assert example.labels.sum() == filled(SMALL).sum()


def test_an_annotation_without_masks_hides_no_other(made):
    [example] = made(
        annotation(1, number=7, updated="2026-11-22T13:39:00Z"),
        annotation(1, region(filled(LARGE)), number=8, updated="2026-11-22T13:38:00Z"),
    )
    assert example.labels.any()


def test_what_cannot_be_had_is_left_out_and_told(made):
    with capture_logs() as logs:
        [example] = made(
            annotation(1, region(filled(LARGE)), address="http://elsewhere/gone.jpg"),
            annotation(2, region(filled(LARGE, size=(50, 50)))),
            annotation(3, region(filled(LARGE)), region(filled(LARGE, size=(50, 50)))),
        )
    assert example.weights == (DRAWN,)
    assert [line["task"] for line in logs] == [1, 2, 3]
    [why] = made.missing
    assert "404" in why


def test_a_picture_whose_masks_are_too_small_for_the_label_map_is_none(made):
    size = 2000, 1500
    tiny = region(filled((slice(700, 701), slice(900, 901)), size=size))
    assert made(annotation(1, tiny, address=data_uri(picture(*size)))) == []
    assert made.missing == []


def test_only_the_first_pictures_are_taken(made, monkeypatch):
    monkeypatch.setattr(accepted_examples, "MOST_PICTURES", 2)
    found = made(*(annotation(n, region(filled((slice(n), slice(n)))), updated=f"2026-11-2{n}T00Z") for n in (3, 2, 1)))
    assert [example.labels.sum() for example in found] == [9, 4]


def mask(window, size=(WIDTH, HEIGHT), by_person=True):
    return AcceptedMask(size, window, np.ones((window[0].stop - window[0].start,) * 2, bool), "Cell", by_person)


def test_the_smaller_mask_is_on_top_whatever_came_first():
    for masks in ([mask(LARGE), mask(SMALL)], [mask(SMALL), mask(LARGE)]):
        labels, weights, _ = label_map(masks, Frame(WIDTH, HEIGHT))
        assert (labels[SMALL] == 2).all()
        assert (labels == 1).sum() == 40 * 40 - 10 * 10
        assert len(weights) == 2


def test_each_number_has_the_label_of_its_mask():
    small, large = replace(mask(SMALL), label="Nucleus"), replace(mask(LARGE), label=None)
    labels, _, kinds = label_map([small, large], Frame(WIDTH, HEIGHT))
    assert kinds == (None, "Nucleus")
    assert kinds[labels[SMALL][0, 0] - 1] == "Nucleus"


def test_a_mask_that_is_hidden_has_no_number():
    labels, weights, _ = label_map([mask(LARGE, by_person=False), mask(LARGE)], Frame(WIDTH, HEIGHT))
    assert set(np.unique(labels)) == {0, 1}
    assert len(weights) == 1


def test_a_label_map_is_no_larger_than_the_canvas():
    size = 4096, 2048
    labels, weights, _ = label_map(
        [mask((slice(0, 1024), slice(0, 1024)), size), mask((slice(1999, 2000),) * 2, size)], Frame(*size)
    )
    assert labels.shape == (512, 1024)
    assert (labels == 1).sum() == 256 * 256
    assert len(weights) == labels.max() == 1  # a single pixel is lost, and its number with it


def test_a_pixel_of_a_smaller_label_map_is_what_lies_under_its_middle():
    size, middles = (3072, 1536), np.zeros((1536, 1536), bool)
    middles[1::3, 1::3] = True
    labels, _, _ = label_map([AcceptedMask(size, (slice(0, 1536),) * 2, middles, "Cell", True)], Frame(*size))
    assert labels.shape == (512, 1024)
    assert (labels[:, :512] == 1).all()
