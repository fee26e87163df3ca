from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.learning.clicks import Click
from backend.learning.examples import Example
from backend.learning.gate import Answering, Answers, Verdict
from backend.learning.version_report import Case, case_of, version_report
from backend.segmentation.preprocess import Frame

BEFORE = {"box": 60.0, "click1": 30.0, "click2": 40.0, "click3": 50.0}
AFTER = {"box": 70.5, "click1": 55.0, "click2": 60.0, "click3": 65.0}
VERDICT = Verdict(True, "promoted: <+18 points>", BEFORE, AFTER, BEFORE, BEFORE)
CURVE = [{"minutes": 0.0, "steps": 0.0, "loss": float("nan"), **BEFORE}, {"minutes": 2.0, "steps": 9.0, **AFTER}]


def square(left: int, side: int) -> NDArray[np.bool_]:
    mask = np.zeros((60, 80), np.bool_)
    mask[10 : 10 + side, left : left + side] = True
    return mask


def case(after: NDArray[np.bool_]) -> Case:
    return Case(np.full((60, 80, 3), 100, np.uint8), square(20, 20), square(20, 10), after, Click(30, 20, True))


def test_the_page_has_decision_figures_curve_and_pictures_and_asks_nobody_for_more(tmp_path: Path) -> None:
    page = tmp_path / "deep" / "v1.html"
    version_report(page, "edgesam-p1-v1", "edgesam", CURVE, VERDICT, [case(square(20, 20)), case(square(20, 10))])
    text = page.read_text()
    assert "promoted: &lt;+18 points&gt;" in text
    assert "70.5 (+10.5)" in text
    assert "25 % before, 100 % after" in text
    assert text.index("100 % after") < text.index("25 % after")  # what changed most comes first
    assert not re.search(r"(src|href)=\"?(?!\"?data:)", text)
    assert text.count("<polyline") == 4
    drawn = re.findall(r"base64,([^\"]+)", text)
    assert len(drawn) == 4
    assert max(Image.open(io.BytesIO(base64.b64decode(drawn[0]))).size) == 280
    assert [path.name for path in page.parent.iterdir()] == ["v1.html"]


def test_a_version_that_was_never_looked_at_has_a_page_too(tmp_path: Path) -> None:
    version_report(tmp_path / "v.html", "v", "base", [], VERDICT)
    assert "before the first look" in (tmp_path / "v.html").read_text()


def test_a_case_is_the_largest_object_asked_for_by_both_decoders() -> None:
    labels = np.zeros((60, 80), np.int16)
    labels[square(2, 5)], labels[square(20, 30)] = 1, 2
    example = Example("k", np.zeros((4096, 256), np.float16), Frame(80, 60), labels, (1.0, 1.0), b"")

    def answers(sign: float) -> Answers:
        made = torch.full((1, 4, 256, 256), sign), torch.zeros(1, 4)
        return lambda one: Answering(lambda *_: made, one.embedding, twice=True)

    found = case_of(example, np.zeros((120, 160, 3), np.uint8), answers(-1.0), answers(1.0))
    assert found.pixels.shape == (60, 80, 3)
    assert np.array_equal(found.truth, square(20, 30))
    assert found.truth[found.click.y, found.click.x]
    assert not found.before.any()
    assert found.after.all()
