from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.segmentation.weights import WeightsFile

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


def test_what_to_compare_with_is_read_before_anything_is_measured(masks: Path, tmp_path: Path) -> None:
    for name, text, said in (("none.json", None, "No such file"), ("other.json", "{}", "is no report that")):
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        out = tmp_path / "report.json"
        done = runner.invoke(app, ["evaluate", "--data", str(masks), "--baseline", str(file), "--out", str(out)])
        assert (done.exit_code, out.exists()) == (1, False)
        assert said in done.output
