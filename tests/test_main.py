"""The command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend import __version__
from backend.__main__ import app
from backend.segmentation.weights import REGISTRY, WeightsFile

runner = CliRunner()


def test_version() -> None:
    assert runner.invoke(app, ["version"]).output.strip() == __version__


def test_without_a_verb_the_verbs_are_listed() -> None:
    output = runner.invoke(app, []).output
    for verb in (
        "serve",
        "config",
        "connect",
        "doctor",
        "precompute",
        "prelabel",
        "forget",
        "weights",
        "export",
        "version",
    ):
        assert verb in output


def test_what_is_slow_to_import_is_not_imported_for_help() -> None:
    told = "import sys, backend.__main__; print(sorted({'torch', 'fastapi', 'cv2', 'httpx'} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", [["serve"], ["weights", "list"], ["weights", "fetch", "edgesam"]])
def test_a_wrong_setting_ends_with_2_and_one_line(monkeypatch: pytest.MonkeyPatch, verb: list[str]) -> None:
    monkeypatch.setenv("THREADS", "many")
    result = runner.invoke(app, verb)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("THREADS=many: should be a valid integer")


@pytest.mark.parametrize(
    ("variables", "code", "told"),
    [
        ({"EDGESAM_DISK_CACHE_MB": "0"}, 2, "EDGESAM_DISK_CACHE_MB=0: there is no cache to fill"),
        ({}, 1, "set LABEL_STUDIO_URL to Label Studio's address and LABEL_STUDIO_API_KEY"),
        ({"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "a"}, 1, "cannot be reached"),
    ],
)
def test_precompute_says_what_it_needs(tmp_path: Path, variables: dict[str, str], code: int, told: str) -> None:
    result = runner.invoke(app, ["precompute", "--project", "1"], env={"MODEL_DIR": str(tmp_path), **variables})
    assert result.exit_code == code
    [line] = result.stderr.splitlines()
    assert told in line


def test_weights_are_listed_with_their_licence() -> None:
    output = runner.invoke(app, ["weights", "list"], env={"COLUMNS": "200"}).output
    for one in REGISTRY.values():
        assert one.name in output
    assert "non-commercial" in output


def test_fetching_makes_all_that_serving_needs(edgesam: WeightsFile, weights_folder: Path) -> None:
    result = runner.invoke(app, ["weights", "fetch", "edgesam"], env={"MODEL_DIR": str(weights_folder)})
    assert result.exit_code == 0, result.output
    assert str(edgesam.path) in result.output.replace("\n", "")
    assert list((weights_folder / "openvino").glob(f"{edgesam.sha256[:16]}*/encoder.xml"))


def test_fetching_what_needs_a_licence_says_how_to_accept_it(tmp_path: Path) -> None:
    result = runner.invoke(app, ["weights", "fetch", "edge_sam"], env={"MODEL_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "EDGESAM_ACCEPT_LICENCE" in result.stderr


def test_unknown_weights_are_told_with_the_known_ones(tmp_path: Path) -> None:
    result = runner.invoke(app, ["weights", "fetch", "nothing"], env={"MODEL_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "mobile_sam" in result.stderr


@pytest.mark.parametrize(("form", "function"), [("torchscript", "export_torchscript"), ("onnx", "export_onnx")])
def test_export_writes_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, function: str
) -> None:
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(f"backend.segmentation.export.{function}", lambda found, to: asked.append((found.name, to)))
    result = runner.invoke(app, ["export", form, str(tmp_path / "out")], env={"MODEL_DIR": str(tmp_path)})
    assert result.exit_code == 0, result.stderr
    assert asked == [("edgesam", tmp_path / "out")]
