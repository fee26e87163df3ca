from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.segmentation.weights import WeightsFile, find_weights

runner = CliRunner()


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["split", "/none", "parts"], "No such file"),
        (["pack", "/none", "shards"], "/none holds no .jpg"),
        (["curve", "curve.png", __file__], "is no log of a run"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, words)
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output
