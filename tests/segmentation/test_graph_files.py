"""Folders of graphs: made once, and not kept for releases that are gone."""

import os

import pytest

from backend.segmentation import graph_files
from backend.segmentation.graph_files import OUTDATED, graphs_of
from backend.segmentation.weights import WeightsFile

WEIGHTS = WeightsFile(None, "edgesam", "repvit_m1", "bilinear", "0123456789abcdef" * 4)


@pytest.fixture
def made(monkeypatch):
    """Stands for making graphs: the folders that were made."""
    made = []

    def write(_weights, graphs, _parts):
        graphs.mkdir()
        made.append(graphs)

    monkeypatch.setattr(graph_files, "_write", write)
    return made


def test_graphs_are_made_once(made, tmp_path):
    assert graphs_of(WEIGHTS, tmp_path) == graphs_of(WEIGHTS, tmp_path)
    assert len(made) == 1


def test_graphs_of_another_release_go_after_a_while(made, tmp_path):
    names = (
        "0123456789abcdef-bilinear-11111111-2026",
        "0123456789abcdef-bilinear-22222222-2026",
        "fedcba-bilinear-1-2026",
    )
    outdated, young, others = (tmp_path / name for name in names)
    for folder in (outdated, young, others):
        folder.mkdir()
        (folder / "encoder.xml").touch()
    for folder in (outdated, others):
        before = folder.stat().st_mtime - OUTDATED - 1
        os.utime(folder, (before, before))
    graphs = graphs_of(WEIGHTS, tmp_path)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {graphs, young, others}
