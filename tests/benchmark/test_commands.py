from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.benchmark import measure, peer, run
from backend.segmentation.weights import WeightsFile
from tests.benchmark.standins import answering, listening

runner = CliRunner()
pytestmark = pytest.mark.usefixtures("quick")


@contextmanager
def standin_peer(weights: str) -> Iterator[peer.Peer]:
    assert weights == "mobile_sam"
    yield lambda photograph, point: 60.0


@pytest.fixture
def with_standin_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_weights", lambda name, folder: name)
    monkeypatch.setattr(peer, "started", standin_peer)


@pytest.mark.usefixtures("with_standin_peer")
def test_a_backend_that_runs_already_is_measured_against_the_peer(backend: str, tmp_path: Path) -> None:
    out, plot = tmp_path / "report.json", tmp_path / "plot.png"
    asked = ["benchmark", "--backend", backend, "--rounds", "1", "--out", str(out), "--plot", str(plot)]
    done = runner.invoke(app, asked)
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert report["backend"] == {"version": "standin-01234567", "engine": "standin"}
    assert report["waits"]["1080p cold"]["times_faster"] > 1
    assert set(report["annotators"]) == {"1", "4", "8"}
    assert report["peak_mib"] is None
    assert plot.stat().st_size
    for told in ("cores to use", "load average", "640x480", "opened", "60000.0", "was not started here"):
        assert told in done.output


def test_the_service_is_started_and_measured(
    edgesam: WeightsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESAM_ENGINE", "torch")  # OpenVINO would first make its graphs
    monkeypatch.setattr(run, "STARTS", 1)
    monkeypatch.setattr(measure, "SIZES", {"1080p": (96, 54)})
    monkeypatch.setattr(run, "CROWDS", (2,))
    out = tmp_path / "report.json"
    done = runner.invoke(app, ["benchmark", "--no-peer", "--rounds", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert report["backend"]["version"] == f"edgesam-{edgesam.sha256[:8]}"
    assert report["backend"]["engine"].endswith("-torch-fp32")
    assert report["peer"] is None
    assert 0 < report["resident_mib"] <= report["peak_mib"]
    assert report["start_s"] > 0


def test_a_failing_backend_is_told_in_one_line() -> None:
    with listening(answering(500, b"out of order"), "off") as address:
        done = runner.invoke(app, ["benchmark", "--no-peer", "--backend", address])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == f"{address}/predict answered 500: out of order"
    assert "Traceback" not in done.output


def test_a_backend_that_is_not_there_is_told_in_one_line() -> None:
    with listening(answering(200, b""), "off") as address:
        pass
    done = runner.invoke(app, ["benchmark", "--no-peer", "--backend", address])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"{address} is not ready")


def test_what_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    done = runner.invoke(app, ["benchmark", "--out", str(tmp_path / "no" / "report.json")])
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert "there is no folder" in line


def test_a_wrong_setting_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "many")
    assert runner.invoke(app, ["benchmark"]).exit_code == 2
