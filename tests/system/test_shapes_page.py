"""In Label Studio's own page: masks as polygons, bitmasks, ellipses and boxes, where no brush holds them.

PICTURES=docs/pictures .venv/bin/python -m pytest tests/system/test_shapes_page.py   also takes a screenshot.
"""

import io
import json
from zipfile import ZipFile

import numpy as np
import pytest

from backend.labelstudio.accepted_masks import masks_of
from backend.labelstudio.interface import interface_of
from demo.project import INTERFACE, PHOTOGRAPHS, connect, new_project, tasks, upload
from tests.system.masks import EYE, ellipse, holds, iou
from tests.system.page import accept, choose, click, drag, open_task, submit, suggested

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

READ = interface_of('<View><Image name="image" value="$image"/></View>')


@pytest.fixture
def opened(page, studio, api, served):
    """opened(tag) -> the size of the cat's photograph, open in a project whose masks are held by `tag`."""

    def opened(tag):
        interface = INTERFACE.read_text().replace("BrushLabels", tag).replace("Brush: key B, by hand", tag)
        project = new_project(api, tag, interface)
        upload(api, project, [PHOTOGRAPHS / "cat.jpg"])
        connect(api, project, served.address)
        return open_task(page, studio.address, project, tasks(api, project)["cat.jpg"])

    return opened


def pixels_of(region, size):
    """The mask of a region, read as learning reads accepted ones; bool height x width."""
    [[mask]] = masks_of([region], READ).values()
    assert mask.size == size
    pixels = np.zeros(size[::-1], bool)
    pixels[mask.window] = mask.pixels
    return pixels


@pytest.mark.parametrize("tag", ["PolygonLabels", "BitmaskLabels", "EllipseLabels"])
def test_a_click_and_an_alt_click(page, opened, picture, tag):
    size = opened(tag)
    choose(page, "k", "2")
    click(page, 50, 40)
    suggested(page)
    choose(page, "k", "2")
    click(page, 25, 85, alt=True)
    suggested(page)
    if tag == "PolygonLabels":
        picture("polygon")
    accept(page)
    [cat] = submit(page)["result"]
    assert cat["type"] == tag.lower()
    assert cat["value"][tag.lower()] == ["Animal"]
    mask = pixels_of(cat, size)
    assert holds(mask, 50, 40)
    assert holds(mask, 38, 38), "the cat's eye"
    if tag != "EllipseLabels":
        assert not holds(mask, 25, 85)


def test_label_studio_exports_the_polygons(page, opened, api):
    width, height = opened("PolygonLabels")
    choose(page, "k", "2")
    click(page, 50, 40)
    accept(page)
    annotation = submit(page)
    mask = pixels_of(annotation["result"][0], (width, height))
    answer = api.get(f"/api/projects/{annotation['project']}/export", params={"exportType": "COCO"})
    with ZipFile(io.BytesIO(answer.content)) as exported:
        [row] = json.loads(exported.read("result.json"))["annotations"]
    assert row["area"] == pytest.approx(mask.sum(), rel=0.02)
    left, top, across, down = row["bbox"]
    ys, xs = np.nonzero(mask)
    assert (left, top) == pytest.approx((xs.min(), ys.min()), abs=1.5)
    assert (across, down) == pytest.approx((np.ptp(xs) + 1, np.ptp(ys) + 1), abs=1.5)


@pytest.mark.parametrize("tag", ["PolygonLabels", "BitmaskLabels", "EllipseLabels"])
def test_a_box(page, opened, tag):
    size = opened(tag)
    choose(page, "r", "6")
    drag(page, 30, 28, 16, 21)
    accept(page)
    [eye] = submit(page)["result"]
    assert iou(pixels_of(eye, size), ellipse(size, *EYE)) > 0.6


def test_a_click_becomes_a_box_where_nothing_else_holds_a_mask(page, opened):
    opened("RectangleLabels")
    choose(page, "k", "2")
    click(page, 50, 40)
    suggested(page)
    accept(page)
    [cat] = submit(page)["result"]
    assert cat["type"] == "rectanglelabels"
    assert cat["from_name"] == "mask"
    assert cat["value"]["rectanglelabels"] == ["Animal"]
    assert cat["value"]["x"] < 38 < cat["value"]["x"] + cat["value"]["width"]
