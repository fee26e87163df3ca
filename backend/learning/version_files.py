"""A version as a file: the encoder of its base, bit for bit, so that kept embeddings go on counting, and a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.segmentation.checkpoints import UPSAMPLES, read_state_dict
from backend.segmentation.familiar import OTHERS, OWN, Familiar
from backend.segmentation.weights import WeightsFile, named_as_base

DECODER = "mask_decoder."


def write_version(base: WeightsFile, decoder: Mapping[str, Tensor], familiar: Familiar, path: Path) -> None:
    """The base's weights with another mask decoder, as a safetensors file that serves beside its base. Atomic.

    decoder: the state of `SegmentationModel.mask_decoder`. It is kept in half precision, and so is the rest where that
    loses nothing. familiar: on which pictures it answers; on others the base does, which the file names. Raises
    WeightsError where the base cannot be read, KeyError where the decoder is of another kind.
    """
    state = read_state_dict(base.path)
    theirs = {name.removeprefix(DECODER) for name in state if name.startswith(DECODER)}
    if differing := theirs ^ decoder.keys():
        raise KeyError(f"the decoder is not that of {base.path}: {', '.join(sorted(differing)[:5])}")
    kept = {name: _narrowed(value) for name, value in state.items()}
    kept |= {DECODER + name: value.detach().cpu().half().contiguous() for name, value in decoder.items()}
    kept |= {OWN: torch.from_numpy(familiar.own), OTHERS: torch.from_numpy(familiar.others)}
    said = {"format": "pt", "encoder": base.kind, **named_as_base(base)}
    if base.upsample in UPSAMPLES:
        said["upsample"] = base.upsample
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(kept, part, said)
    part.replace(path)


def _narrowed(value: Tensor) -> Tensor:
    """In half precision where that is the same number: published files are in single precision."""
    half = value.half() if value.is_floating_point() else value
    return (half if torch.equal(half.to(value.dtype), value) else value).contiguous()
