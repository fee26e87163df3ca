"""A version as a file: its base's weights with what was learned in their place."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from backend.learning.student import ENCODER, State
from backend.segmentation.checkpoints import UPSAMPLES, encoder_hash, read_state_dict
from backend.segmentation.familiar import OTHERS, OWN, Familiar
from backend.segmentation.weights import BASE_ENCODER, WeightsFile, named_as_base


def write_version(base: WeightsFile, learned: State, familiar: Familiar, path: Path) -> None:
    """The base's weights with those that were learned, as a safetensors file that serves beside its base. Atomic.

    learned: kept in half precision, and so is the rest where that loses nothing. Without any of the encoder's, this
    stays as it is to the last bit, so that embeddings of the base serve. familiar: on which pictures it answers; on
    others the base does, which the file names. Raises WeightsError where the base cannot be read, KeyError where what
    was learned is of another kind.
    """
    state = read_state_dict(base.path)
    if unknown := learned.keys() - state.keys():
        raise KeyError(f"these are no weights of {base.path}: {', '.join(sorted(unknown)[:5])}")
    kept = {name: _narrowed(value) for name, value in state.items()}
    kept |= {name: value.half().contiguous() for name, value in learned.items()}
    kept |= {OWN: torch.from_numpy(familiar.own), OTHERS: torch.from_numpy(familiar.others)}
    said = {"format": "pt", "encoder": base.kind, **named_as_base(base)}
    if any(name.startswith(ENCODER) for name in learned):
        said[BASE_ENCODER] = encoder_hash(state, base.kind, base.upsample)
    if base.upsample in UPSAMPLES:
        said["upsample"] = base.upsample
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(save(kept, said))  # save_file makes a file that nobody else may read
    part.replace(path)


def _narrowed(value: Tensor) -> Tensor:
    """In half precision where that is the same number: published files are in single precision."""
    half = value.half() if value.is_floating_point() else value
    return (half if torch.equal(half.to(value.dtype), value) else value).contiguous()
