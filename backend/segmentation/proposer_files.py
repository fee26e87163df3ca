"""A proposer as a safetensors file."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import save

from backend.segmentation.checkpoints import WeightsError, opened_safetensors
from backend.segmentation.proposals import Linear, Proposer, Usual

VERSION, ABOUT, TOLD = "version", "proposer", "told"


def write_proposer(proposer: Proposer, version: str, told: str, path: Path) -> None:
    """version: of the engine that it was judged with. told: how good it was then, for people. Atomic."""
    about = {
        "kinds": proposer.kinds,
        "area": proposer.usual.area,
        "aspect": proposer.usual.aspect,
        "least": proposer.least,
    }
    arrays = {
        "places.weight": proposer.places.weight,
        "places.bias": proposer.places.bias,
        "masks.weight": proposer.masks.weight,
        "masks.bias": proposer.masks.bias,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(save(arrays, {VERSION: version, TOLD: told, ABOUT: json.dumps(about)}))
    part.replace(path)


def read_proposer(path: Path) -> tuple[str, Proposer]:
    """The version that it was judged with, and the proposer. Raises WeightsError where the file is none."""
    with opened_safetensors(path) as file:
        said = file.metadata() or {}
        try:
            about = json.loads(said[ABOUT])
            places, masks = (
                Linear(file.get_tensor(f"{name}.weight"), file.get_tensor(f"{name}.bias"))
                for name in ("places", "masks")
            )
            usual = Usual(about["area"], about["aspect"])
            return said[VERSION], Proposer(tuple(about["kinds"]), places, masks, usual, about["least"])
        except KeyError as error:
            raise WeightsError(f"{path} is no proposer: it has no {error}; learn again") from None
