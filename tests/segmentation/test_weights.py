from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.segmentation import weights
from backend.segmentation.checkpoints import sha256_of
from backend.segmentation.weights import ASSETS, REGISTRY, WeightsError, WeightsFile, find_weights, hash_of, is_here

EDGESAM = {"image_encoder.fuse_stage2.weight": torch.ones(2, 3)}


@pytest.fixture
def no_downloads(monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing may be downloaded here")

    monkeypatch.setattr(weights, "fetched", refuse)


def test_the_default_comes_with_the_project(tmp_path, no_downloads):
    found = find_weights("edgesam", tmp_path)

    assert found == WeightsFile(
        ASSETS / "edgesam.safetensors", "edgesam", "repvit_m1", "bilinear", REGISTRY["edgesam"].file.sha256
    )
    assert found.path.stat().st_size == REGISTRY["edgesam"].file.size
    assert list(tmp_path.iterdir()) == []


def test_missing_or_damaged_assets_are_told(tmp_path, monkeypatch, no_downloads):
    monkeypatch.setattr(weights, "ASSETS", tmp_path)
    with pytest.raises(WeightsError, match=r"edgesam\.safetensors is missing"):
        find_weights("edgesam", tmp_path)

    (tmp_path / "edgesam.safetensors").write_bytes(b"a pointer of git lfs")
    with pytest.raises(WeightsError, match="is damaged"):
        find_weights("edgesam", tmp_path)


@pytest.mark.parametrize("name", ["edge_sam", "edge_sam_3x"])
def test_non_commercial_weights_want_their_licence_confirmed(tmp_path, name, no_downloads):
    with pytest.raises(WeightsError, match=r"S-Lab License 1\.0.*non-commercial.*EDGESAM_ACCEPT_LICENCE"):
        find_weights(name, tmp_path)


def test_published_weights_are_fetched_into_the_folder(tmp_path, monkeypatch):
    asked = []

    def fetch(file, folder, progress):
        asked.append((file, folder, progress))
        return folder / file.name

    monkeypatch.setattr(weights, "fetched", fetch)
    found = find_weights("edge_sam", tmp_path, accept_licence=True, progress=print)

    assert found.path == tmp_path / "edge_sam.pth"
    assert (found.kind, found.upsample) == ("repvit_m1", "bicubic")
    assert asked == [(REGISTRY["edge_sam"].file, tmp_path, print)]


def test_what_is_here_needs_no_download(tmp_path, mobile_sam, no_downloads):
    assert is_here("edgesam", tmp_path)
    assert is_here(str(tmp_path / "mine.pth"), tmp_path)
    assert not is_here("mobile_sam", tmp_path)
    target = tmp_path / "mobile_sam.pt"
    target.write_bytes(mobile_sam.path.read_bytes())
    assert is_here("mobile_sam", tmp_path)
    target.write_bytes(bytes(target.stat().st_size))
    assert not is_here("mobile_sam", tmp_path)


def test_a_hash_needs_no_download(tmp_path, mobile_sam, no_downloads):
    assert hash_of("mobile_sam") == hash_of(str(mobile_sam.path)) == mobile_sam.sha256
    with pytest.raises(WeightsError, match="no weights '/no/file'"):
        hash_of("/no/file")


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(
        WeightsError, match=re.escape("'sam_vit_h': give one of edgesam, edge_sam, edge_sam_3x, mobile")
    ):
        find_weights("sam_vit_h", tmp_path)


def test_a_path_is_taken_as_it_is(tmp_path):
    torch.save(EDGESAM, tmp_path / "mine.pth")
    save_file(EDGESAM, tmp_path / "ours.safetensors", {"upsample": "bilinear"})

    mine, ours = (find_weights(str(tmp_path / name), tmp_path) for name in ("mine.pth", "ours.safetensors"))

    assert (mine.name, mine.kind, mine.upsample) == ("mine", "repvit_m1", "bicubic")
    assert (ours.name, ours.kind, ours.upsample) == ("ours", "repvit_m1", "bilinear")
    assert mine.sha256 == sha256_of(mine.path)


def test_a_published_file_under_another_name_is_known(tmp_path):
    shutil.copy(ASSETS / "edgesam.safetensors", tmp_path / "copy.safetensors")

    found = find_weights(str(tmp_path / "copy.safetensors"), tmp_path)

    assert (found.path, found.name) == (tmp_path / "copy.safetensors", "edgesam")


@pytest.mark.parametrize("name", REGISTRY)
def test_the_registry_is_complete(name):
    entry = REGISTRY[name]

    assert entry.name == name
    assert re.fullmatch("[0-9a-f]{64}", entry.file.sha256)
    assert all(address.startswith("https://") for address in entry.file.addresses)
    assert entry.file.addresses or (ASSETS / entry.file.name).is_file()
    assert Path(entry.file.name).name == entry.file.name
