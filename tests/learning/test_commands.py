from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.learning.canvases import HALF, whole
from backend.learning.loader import opened
from backend.learning.masks import samples_of
from backend.segmentation.weights import WeightsFile, find_weights

runner = CliRunner()


@pytest.mark.parametrize(
    "way", [[], ["--rule", "predicted", "--no-replay", "--no-windows"]], ids=["as served", "another way"]
)
def test_evaluate_writes_a_report(
    masks: Path, random_weights: WeightsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    monkeypatch.setenv("EDGESAM_ENGINE", "torch")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    out, picture = tmp_path / "report.json", tmp_path / "cases.png"
    one = ["--images", "1", "--objects", "1", *way]
    called = ["evaluate", "--weights", str(random_weights.path), "--data", str(masks), *one]
    done = runner.invoke(app, [*called, "--out", str(out), "--picture", str(picture)])
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert report["sources"]["discs"]["objects"] == 1
    assert 0 <= report["averages"]["object sources"]["click3"] <= 1
    assert picture.is_file()


def test_what_is_wrong_is_one_sentence(tmp_path: Path, random_weights: WeightsFile) -> None:
    done = runner.invoke(app, ["evaluate", "--weights", str(random_weights.path), "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "holds no source" in done.output
    assert "Traceback" not in done.output


def test_a_report_that_could_not_be_written_is_told_before_it_is_made(masks: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["evaluate", "--data", str(masks), "--out", str(tmp_path / "gone" / "report.json")])
    assert done.exit_code == 1
    assert "report.json cannot be written: there is no folder" in done.output


def test_distill_leaves_weights_that_load_and_a_run_that_goes_on(
    photos: Path, masks: Path, random_weights: WeightsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = ["distill", "--photos", str(photos), "--teacher", str(random_weights.path), "--out", str(tmp_path)]
    called += ["--minutes", "0.01", "--batch", "1", "--workers", "0", "--device", "cpu", "--objects", "1"]
    first = runner.invoke(app, [*called, "--measure"])
    assert first.exit_code == 0, first.output
    assert re.search(r"canvases a second: loader [\d.]+, teacher [\d.]+, student [\d.]+", first.output)
    again = runner.invoke(app, called)
    assert again.exit_code == 1
    assert "--resume" in again.output
    second = runner.invoke(app, [*called, "--resume", "--stage", "prompts", "--masks", str(masks)])
    assert second.exit_code == 0, second.output
    weights = find_weights(str(tmp_path / "edgesam.safetensors"), tmp_path)
    assert (weights.kind, weights.upsample) == ("repvit_m1", "bilinear")


def test_true_masks_are_opened_with_their_picture(masks: Path) -> None:
    sample = samples_of(masks / "discs")[0]
    canvas = whole(np.random.default_rng(0), opened(sample), 8)
    assert canvas.extent == (768, 1024)
    labels = sample.labels()
    seen = sorted(int(np.count_nonzero(covered > HALF)) for covered in canvas.coverage)
    assert seen == pytest.approx(sorted(np.count_nonzero(labels == one) * 1.6**2 for one in (1, 2)), rel=0.03)
