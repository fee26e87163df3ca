from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.learning import finetune as finetuning
from backend.learning import tuning
from backend.learning.masks import samples_of
from backend.segmentation.checkpoints import encoder_hash, read_state_dict
from backend.segmentation.weights import WeightsFile, find_weights, replaced_encoder

runner = CliRunner()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, masks: Path, tmp_path: Path) -> None:
    """Torch, two looks, two pictures that must not be forgotten."""
    monkeypatch.setenv("EDGESAM_ENGINE", "torch")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(finetuning, "CHECKS", 1)
    monkeypatch.setattr(finetuning, "OBJECTS", 2)
    monkeypatch.setattr(tuning, "SHARES", (1.0, 0.5))
    monkeypatch.setattr(tuning, "samples_of", lambda _: samples_of(masks / "discs")[3:])


def test_a_folder_becomes_weights_that_serve_and_a_page(
    masks: Path, random_weights: WeightsFile, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "tuned.safetensors"
    called = ["finetune", "--dataset", str(masks / "discs"), "--limit", "2", "--out", str(out)]
    done = runner.invoke(app, [*called, "--weights", str(random_weights.path), "--minutes", "0.01"])
    assert done.exit_code == 0, done.output
    assert "2 pictures, 4 masks" in done.output
    assert "in general, after" in done.output
    assert "promoted" in out.with_suffix(".html").read_text()
    own = encoder_hash(read_state_dict(random_weights.path), random_weights.kind, random_weights.upsample)
    assert replaced_encoder(find_weights(str(out), tmp_path)) == own


def test_copies_of_one_picture_are_one_picture(masks: Path, random_weights: WeightsFile, tmp_path: Path) -> None:
    copies = shutil.copytree(masks / "discs", tmp_path / "copies")
    rows = json.loads((copies / "index.json").read_text())
    (copies / "index.json").write_text(json.dumps([rows[0]] * 3))
    called = ["finetune", "--dataset", str(copies), "--out", str(tmp_path / "tuned.safetensors")]
    done = runner.invoke(app, [*called, "--weights", str(random_weights.path), "--minutes", "0.01"])
    assert done.exit_code == 1
    assert "has one picture only, 3 times" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to learn from"),
        (["--dataset", "x"], "say what to learn from"),
        (["--project", "1", "--dataset", "x", "--out", "y.safetensors"], "say what to learn from"),
        (["--project", "1", "--weights", "mobile_sam"], "--weights and --limit are for --dataset"),
        (["--project", "1", "--limit", "5"], "--weights and --limit are for --dataset"),
    ],
)
def test_what_to_learn_from_is_one_thing(words: list[str], said: str) -> None:
    done = runner.invoke(app, ["finetune", *words])
    assert done.exit_code == 2
    assert said in done.output


def test_what_is_wrong_is_one_sentence(masks: Path, random_weights: WeightsFile, tmp_path: Path) -> None:
    weights = ["--weights", str(random_weights.path)]
    for words, said in (
        (["--dataset", str(tmp_path), "--out", "y.safetensors"], "is no source: a source is a folder with"),
        (["--dataset", str(masks / "discs"), "--out", "y.pth"], "must end with .safetensors"),
        (["--dataset", str(masks / "discs"), "--out", "/proc/y.safetensors"], "cannot be written"),
    ):
        done = runner.invoke(app, ["finetune", *words, *weights])
        assert done.exit_code == 1
        assert said in done.output
        assert "Traceback" not in done.output
