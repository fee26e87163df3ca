from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.learning.card import Story, model_card
from backend.learning.curve import draw_curve
from backend.learning.masks import DataError
from backend.learning.run_state import Progress, log


def report(box: float, objects: int = 7) -> dict[str, Any]:
    figures = {"box": box, "click1": 0.5, "click2": 0.6, "click3": 0.7}
    return {"sources": {"discs": {"objects": objects, **figures}}, "averages": {"object sources": figures}}


@pytest.fixture
def run_log(tmp_path: Path) -> Path:
    for step in range(1, 20):
        stage = "encoder" if step < 12 else "prompts"
        figures = {"unexplained": 1 / step} if stage == "encoder" else {"loss": 2 / step, "first_iou": 0.7}
        log(tmp_path, Progress(stage, step, 2.0 * step, 60.0 * step), figures)
    return tmp_path / "log.csv"


def test_a_card_says_what_made_the_weights_and_how_good_they_are(tmp_path: Path, run_log: Path) -> None:
    weights = tmp_path / "edgesam.safetensors"
    weights.write_bytes(b"weights")
    photographs = tmp_path / "photos.jsonl"
    rows = [{"repo": f"a/{number % 2}", "licence": "CC0" if number else "none stated"} for number in range(3)]
    photographs.write_text("\n".join(map(json.dumps, rows)))
    story = Story(weights, "A teacher", (run_log,), (photographs,), masks="True masks: discs.", notes="Mind the gap.")
    card = model_card(story, report(0.91), report(0.88))
    assert "3 photographs of 2 repositories" in card
    assert "CC0: 2; none stated: 1" in card
    assert "stage `encoder`: 10 minutes; at the end unexplained 0.0909" in card
    assert "| discs | 7 | 91.0 (+3.0) | 50.0 (+0.0) |" in card
    assert "True masks: discs." in card
    assert card.endswith("Mind the gap.\n")


def test_figures_over_other_objects_are_not_compared(tmp_path: Path, run_log: Path) -> None:
    weights = tmp_path / "edgesam.safetensors"
    weights.write_bytes(b"weights")
    with pytest.raises(DataError, match="differ at discs: 7 objects here, 8 there"):
        model_card(Story(weights, "A teacher", (run_log,)), report(0.9), report(0.9, objects=8))


def test_a_curve_is_drawn_from_logs(tmp_path: Path, run_log: Path) -> None:
    draw_curve([run_log, run_log], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
