"""Pictures in files: one mask, or those of all boxes of a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.__main__ import app
from backend.labelstudio import configured
from tests.labelstudio.standins import DiscEngine, NothingEngine, picture


class Called:
    """A command with a model whose masks are known."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.engine: Any = DiscEngine()
        self.folder = folder
        monkeypatch.setenv("MODEL_DIR", str(folder / "models"))
        monkeypatch.setattr(configured, "weights_of", lambda _: None)
        monkeypatch.setattr(configured, "engine_of", lambda _settings, _weights: self.engine)
        monkeypatch.chdir(folder)
        (folder / "a.jpg").write_bytes(picture(640, 480))
        (folder / "turned.jpg").write_bytes(picture(640, 480, orientation=6))

    def __call__(self, *words: str) -> tuple[int, str]:
        told = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
        return told.exit_code, told.output


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Called:
    return Called(monkeypatch, tmp_path)


def mask_in(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        assert image.mode == "L"
        pixels = np.asarray(image)
    assert set(np.unique(pixels)) <= {0, 255}
    return pixels > 0


@pytest.mark.parametrize("name", ["a.jpg", "turned.jpg"])
def test_a_click_gives_a_mask_of_the_size_that_the_picture_is_shown_in(called: Called, name: str) -> None:
    code, output = called("predict", name, "--click", "200,150", "--out", "mask.png")
    assert code == 0, output
    mask = mask_in(called.folder / "mask.png")
    assert mask.shape == (480, 640)
    assert mask[150, 200]
    assert mask.sum() == pytest.approx(np.pi * 60**2, rel=0.02), "24 cells of 2.5 pixels around it"
    assert output == "mask.png: 640 x 480, the object is 3.7% of it, box 140,90,260,210, score 1.00\n"


def test_what_is_beside_it_and_a_box(called: Called) -> None:
    called("predict", "a.jpg", "--click", "200,150", "--click", "300,150", "--beside", "230,150", "--out", "mask.png")
    mask = mask_in(called.folder / "mask.png")
    assert mask[150, 200]
    assert mask[150, 300]
    assert not mask[150, 230]
    called("predict", "a.jpg", "--box", "100,100,400,300", "--out", "mask.png")
    mask = mask_in(called.folder / "mask.png")
    assert mask[105:295, 105:395].all()
    assert not mask[:95].any()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say where the object is"),
        (["--beside", "1,2"], "say where the object is"),
        (["--click", "1"], "'1' is not 2 numbers"),
        (["--click", "1,x"], "'1,x' is not 2 numbers"),
        (["--box", "1,2,3"], "'1,2,3' is not 4 numbers"),
        (["--box", "9,2,3,4"], "turned round"),
        (["--click", "nan,4"], "finite"),
    ],
)
def test_what_is_said_wrongly_is_told(called: Called, words: list[str], told: str) -> None:
    code, output = called("predict", "a.jpg", "--out", "mask.png", *words)
    assert code == 2
    assert told in output
    assert not (called.folder / "mask.png").exists()


def test_what_cannot_be_done_is_one_sentence(called: Called) -> None:
    (called.folder / "text.jpg").write_text("no picture")
    for file, out in (("gone.jpg", "mask.png"), ("text.jpg", "mask.png"), ("a.jpg", "gone/mask.png")):
        code, output = called("predict", file, "--click", "5,5", "--out", out)
        assert code == 1
        assert ("gone" if "gone" in file + out else "text.jpg") in output
        assert len(output.splitlines()) == 1
    called.engine = NothingEngine()
    assert "found nothing" in called("predict", "a.jpg", "--click", "5,5", "--out", "mask.png")[1]


def coco(*boxes: Any, image: str = "a.jpg", number: int = 7) -> dict[str, Any]:
    rows = [{"id": n, "image_id": number, "category_id": 3, "bbox": box, "mine": n} for n, box in enumerate(boxes)]
    return {
        "info": {"year": 2026},
        "images": [{"id": number, "file_name": image, "width": 640, "height": 480}],
        "annotations": rows,
        "categories": [{"id": 3, "name": "cell"}],
    }


def annotated(called: Called, content: Any, code: int = 0) -> tuple[Any, str]:
    """What was written, if anything, and what was told."""
    (called.folder / "boxes.json").write_text(content if isinstance(content, str) else json.dumps(content))
    ended, output = called("annotate", ".", "--boxes", "boxes.json", "--out", "masks.json")
    assert ended == code, output
    written = called.folder / "masks.json"
    return (json.loads(written.read_text()) if written.exists() else None), output


def test_boxes_become_polygons_and_the_rest_stays(called: Called) -> None:
    content = coco([100, 50, 200, 150], [400, 300, 20, 30])
    made, output = annotated(called, content)
    assert output.splitlines()[-1] == "masks.json: 2 masks on 1 pictures, 0 pictures are not whole"
    assert {name: made[name] for name in ("info", "images", "categories")} == {
        name: content[name] for name in ("info", "images", "categories")
    }
    for row, (left, top, width, height) in zip(
        made["annotations"], ([100, 50, 200, 150], [400, 300, 20, 30]), strict=True
    ):
        assert (row["category_id"], row["image_id"], row["iscrowd"], row["mine"]) == (3, 7, 0, row["id"])
        assert row["bbox"] == pytest.approx([left, top, width, height], abs=3)
        drawn = np.zeros((480, 640), np.uint8)
        for ring in row["segmentation"]:
            cv2.fillPoly(drawn, [np.array(ring).reshape(-1, 2).round().astype(int)], 1)
        assert int(drawn.sum()) == pytest.approx(row["area"], rel=0.15), "fillPoly draws its edges too"
        assert drawn[top + height // 2, left + width // 2]
        assert row["score"] == 1
    assert not (called.folder / "masks.json.part").exists()
    assert called.engine.encoded > 1, "the small one was looked at more closely"


def test_a_picture_that_is_missing_leaves_its_boxes_and_the_others_go_on(called: Called) -> None:
    content = coco([100, 50, 200, 150], image="gone.jpg")
    other = coco([10, 10, 50, 50], number=8)
    content["images"] += other["images"]
    content["annotations"] += other["annotations"]
    made, output = annotated(called, content, code=1)
    gone, there = made["annotations"]
    assert gone == content["annotations"][0]
    assert there["segmentation"]
    assert "gone.jpg" in output
    assert output.splitlines()[-1] == "masks.json: 1 masks on 2 pictures, 1 pictures are not whole"


OUTSIDE = ([4000, 5, 20, 20], [5, 500, 20, 20], [-30, 5, 20, 20])


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 0, 4], [1, 2, -3, 4], "abcd", [1, 2, None, 4], {"x": 1}, *OUTSIDE])
def test_a_box_that_is_none_is_named_and_the_others_get_masks(called: Called, box: Any) -> None:
    content = coco([100, 50, 200, 150], box)
    made, output = annotated(called, content, code=1)
    first, second = made["annotations"]
    assert first["segmentation"]
    assert second == content["annotations"][1]
    assert "a.jpg: annotation 1: " in output


def test_crowds_stay_and_so_does_a_detectors_score(called: Called) -> None:
    content = coco([100, 50, 200, 150], [300, 50, 100, 100])
    content["annotations"][0] |= {"iscrowd": 1, "segmentation": {"counts": "abc", "size": [480, 640]}}
    content["annotations"][1]["score"] = 0.7
    made, _ = annotated(called, content)
    assert made["annotations"][0] == content["annotations"][0]
    assert made["annotations"][1]["segmentation"]
    assert made["annotations"][1]["score"] == 0.7


def test_where_nothing_can_be_written_it_ends_at_once(called: Called) -> None:
    (called.folder / "boxes.json").write_text(json.dumps(coco([100, 50, 200, 150])))
    (called.folder / "folder").mkdir()
    for out in ("folder", "gone/masks.json"):
        code, output = called("annotate", ".", "--boxes", "boxes.json", "--out", out)
        assert code
        assert len(output.splitlines()) == 1
    assert called.engine.encoded == 0
    assert sorted(path.name for path in called.folder.iterdir() if "part" in path.name) == []


def test_a_mask_takes_no_pictures_place(called: Called) -> None:
    before = (called.folder / "a.jpg").read_bytes()
    (called.folder / "a.png").write_bytes(picture(640, 480, kind="PNG"))
    for file, out in (("a.jpg", "a.jpg"), ("a.jpg", "b.jpg"), ("a.png", "./a.png")):
        code, output = called("predict", file, "--click", "5,5", "--out", out)
        assert code == 1
        assert "another name that ends with .png" in output
    assert (called.folder / "a.jpg").read_bytes() == before
    code, output = called("predict", "a.jpg", "--click", "700,5", "--out", "mask.png")
    assert code == 1
    assert "640 x 480 pixels: (700.0, 5.0) lies beside it" in output


def test_what_has_no_box_stays(called: Called) -> None:
    content = coco([])
    del content["annotations"][0]["bbox"]
    assert annotated(called, content)[0] == content


def test_boxes_in_which_nothing_is_found_are_told(called: Called) -> None:
    called.engine = NothingEngine()
    content = coco([100, 50, 200, 150])
    made, output = annotated(called, content, code=1)
    assert made == content
    assert "annotation 0: nothing was found in [100, 50, 200, 150]" in output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no json", "cannot be read as JSON"),
        ("[]", "not a list of results"),
        ("null", "not a list of results"),
        ("{}", "'images' is missing"),
        ({"images": [{"id": 1}], "annotations": []}, "images[0] has not all of id, file_name: {'id': 1}"),
        ({"images": [], "annotations": [None]}, "annotations[0] has not all of image_id: None"),
        (
            {"images": [], "annotations": [{"id": 4, "image_id": 1, "bbox": [1, 2, 3, 4]}]},
            "of image 1, which is not there",
        ),
    ],
)
def test_what_is_not_coco_is_told_before_anything_is_made(called: Called, content: Any, told: str) -> None:
    made, output = annotated(called, content, code=1)
    assert made is None
    assert told in output
    assert called.engine.encoded == 0
