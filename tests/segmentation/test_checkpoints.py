from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.segmentation.checkpoints import (
    Contents,
    WeightsError,
    contents_of,
    encoder_hash,
    read_state_dict,
)

EDGESAM = {"image_encoder.fuse_stage2.weight": torch.ones(2, 3), "prompt_encoder.x": torch.zeros(1)}
MOBILE_SAM = {"image_encoder.patch_embed.seq.0.c.weight": torch.ones(2)}


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("hostile-was-here"),)


def test_the_kind_is_told_by_the_tensors(tmp_path):
    torch.save(EDGESAM, tmp_path / "a.pth")
    torch.save(MOBILE_SAM, tmp_path / "b.pt")
    save_file(EDGESAM, tmp_path / "c.safetensors", {"encoder": "repvit_m1", "upsample": "bilinear"})
    save_file(MOBILE_SAM, tmp_path / "d.safetensors")

    assert contents_of(tmp_path / "a.pth") == Contents("repvit_m1", None)
    assert contents_of(tmp_path / "b.pt") == Contents("tinyvit", None)
    assert contents_of(tmp_path / "c.safetensors") == Contents("repvit_m1", "bilinear")
    assert contents_of(tmp_path / "d.safetensors") == Contents("tinyvit", None)


def test_half_precision_becomes_single_and_counts_stay_whole(tmp_path):
    stored = {"a": torch.tensor([1.5]).half(), "n": torch.tensor(3), "image_encoder.head.weight": torch.ones(1)}
    save_file(stored, tmp_path / "w.safetensors")

    state = read_state_dict(tmp_path / "w.safetensors")

    assert {name: tensor.dtype for name, tensor in state.items()} == {"a": torch.float32, "n": torch.int64}


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"image_encoder.x": Hostile()}, protocol=2))
    torch.save({"image_encoder.x": Hostile()}, tmp_path / "new.pth")

    for name in ("old.pth", "new.pth"):
        with pytest.raises(WeightsError, match=f"{name} cannot be read as weights"):
            contents_of(tmp_path / name)
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off", b"hi\n", b"hello"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_file_of_weights_is_told(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="cannot be read as"):
        contents_of(path)


def test_other_contents_are_told(tmp_path):
    torch.save({"model": EDGESAM}, tmp_path / "nested.pth")
    torch.save({"backbone.conv.weight": torch.ones(1)}, tmp_path / "other.pth")
    save_file(MOBILE_SAM, tmp_path / "lies.safetensors", {"encoder": "repvit_m1"})
    save_file(EDGESAM, tmp_path / "odd.safetensors", {"upsample": "nearest"})

    for name, said in {
        "nested.pth": "holds no state dict",
        "other.pth": "holds neither EdgeSAM nor MobileSAM: it begins with backbone.conv.weight",
        "lies.safetensors": "says that it holds the encoder 'repvit_m1', but its tensors are tinyvit's",
        "odd.safetensors": "names the upsample mode 'nearest'",
    }.items():
        with pytest.raises(WeightsError, match=said):
            contents_of(tmp_path / name)


def test_a_torchscript_file_is_known_by_its_extra_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("model/extra/edgesam.json", "{}")

    assert contents_of(tmp_path / "model.pt") == Contents("torchscript", None)


def test_the_encoders_hash_sees_the_encoder_and_its_upsampling_only():
    hashed = encoder_hash(EDGESAM, "repvit_m1", "bilinear")

    assert encoder_hash({**EDGESAM, "prompt_encoder.x": torch.ones(1)}, "repvit_m1", "bilinear") == hashed
    assert encoder_hash(EDGESAM, "repvit_m1", "bicubic") != hashed
    other = {**EDGESAM, "image_encoder.fuse_stage2.weight": torch.zeros(2, 3)}
    assert encoder_hash(other, "repvit_m1", "bilinear") != hashed
