from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.learning.networks import save_weights
from backend.learning.version_files import write_version
from backend.segmentation.checkpoints import encoder_hash, read_state_dict
from backend.segmentation.engine_torch import beside, load_torch_engine
from backend.segmentation.familiar import Familiar, familiar_in
from backend.segmentation.model import SegmentationModel, build_model, model_of
from backend.segmentation.weights import WeightsError, WeightsFile, base_of, find_weights, replaced_encoder

FAMILIAR = Familiar(np.ones((3, 512), np.float32), np.zeros((2, 512), np.float32))


def decoder_in(model: SegmentationModel, plus: float = 0.0) -> dict[str, Tensor]:
    return {f"mask_decoder.{name}": value + plus for name, value in model.mask_decoder.state_dict().items()}


def test_a_version_has_the_encoder_of_its_base_and_serves_beside_it(
    random_weights: WeightsFile, tmp_path: Path
) -> None:
    model = model_of(random_weights)
    changed = decoder_in(model, plus=0.25)
    write_version(random_weights, changed, FAMILIAR, tmp_path / "deep" / "v.safetensors")
    version = find_weights(str(tmp_path / "deep" / "v.safetensors"), tmp_path)
    assert (version.kind, version.upsample) == (random_weights.kind, random_weights.upsample)
    written = read_state_dict(version.path)
    same = encoder_hash(model.state_dict(), random_weights.kind, random_weights.upsample)
    assert encoder_hash(written, version.kind, version.upsample) == same
    for name, value in changed.items():
        assert written[name].equal(value.half().float())
    known = familiar_in(version.path)
    assert known is not None
    assert (known.own.shape, known.others.shape) == ((3, 512), (2, 512))
    assert base_of(version, tmp_path) == random_weights
    assert replaced_encoder(version) is None
    assert beside(load_torch_engine(random_weights, "cpu"), version, "v1").version == "v1"
    assert [path.name for path in version.path.parent.iterdir()] == ["v.safetensors"]


def test_files_of_weights_may_be_read_by_those_who_may_read_other_files(
    random_weights: WeightsFile, tmp_path: Path
) -> None:
    (tmp_path / "other").touch()
    save_weights(read_state_dict(random_weights.path), tmp_path / "base.safetensors")
    write_version(random_weights, decoder_in(model_of(random_weights)), FAMILIAR, tmp_path / "v.safetensors")
    assert len({file.stat().st_mode for file in tmp_path.iterdir()}) == 1


def test_half_precision_is_taken_where_it_loses_nothing(random_weights: WeightsFile, tmp_path: Path) -> None:
    exact = tmp_path / "exact.safetensors"
    save_weights(read_state_dict(random_weights.path), exact)
    base = find_weights(str(exact), tmp_path)
    write_version(base, decoder_in(model_of(base)), FAMILIAR, tmp_path / "v.safetensors")
    assert (tmp_path / "v.safetensors").stat().st_size < 1.01 * exact.stat().st_size


def test_the_other_encoder_in_single_precision_keeps_its_embeddings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = tmp_path / "mobile.safetensors"
    save_file({name: value.contiguous() for name, value in build_model("tinyvit").state_dict().items()}, file)
    base = find_weights(str(file), tmp_path)
    write_version(base, decoder_in(model_of(base)), FAMILIAR, tmp_path / "v.safetensors")
    version = find_weights(str(tmp_path / "v.safetensors"), tmp_path)
    assert (version.kind, version.upsample) == ("tinyvit", base.upsample)
    hashes = {encoder_hash(read_state_dict(one.path), "tinyvit", "none") for one in (base, version)}
    assert len(hashes) == 1


def test_a_version_with_an_encoder_of_its_own_says_for_which_it_was_made(
    random_weights: WeightsFile, tmp_path: Path
) -> None:
    model = model_of(random_weights)
    name = "image_encoder.fuse_stage2.weight"
    learned = decoder_in(model) | {name: model.state_dict()[name] + 0.25}
    write_version(random_weights, learned, FAMILIAR, tmp_path / "v.safetensors")
    version = find_weights(str(tmp_path / "v.safetensors"), tmp_path)
    assert read_state_dict(version.path)[name].equal(learned[name].half().float())
    assert replaced_encoder(version) == encoder_hash(model.state_dict(), random_weights.kind, random_weights.upsample)
    base = load_torch_engine(random_weights, "cpu")
    assert beside(base, version, "v1").identity != base.identity


def test_weights_of_another_kind_are_refused(random_weights: WeightsFile, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="patch_embed"):
        write_version(
            random_weights, {"image_encoder.patch_embed": torch.zeros(1)}, FAMILIAR, tmp_path / "v.safetensors"
        )
    assert not list(tmp_path.iterdir())


def test_a_file_whose_base_is_gone_or_another_says_so(random_weights: WeightsFile, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(random_weights.path.read_bytes())
    base = find_weights(str(copy), tmp_path)
    write_version(base, decoder_in(model_of(base)), FAMILIAR, tmp_path / "v.safetensors")
    version = find_weights(str(tmp_path / "v.safetensors"), tmp_path)
    save_weights({name: value + 1 for name, value in read_state_dict(copy).items()}, copy)
    with pytest.raises(WeightsError, match="fine-tune again"):
        base_of(version, tmp_path)
    copy.unlink()
    with pytest.raises(WeightsError, match=r"no weights .*copy\.safetensors"):
        base_of(version, tmp_path)
    assert base_of(random_weights, tmp_path) is None
