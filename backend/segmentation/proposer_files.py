"""A proposer as a safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save

from backend.segmentation.checkpoints import WeightsError, opened_safetensors
from backend.segmentation.engines import Floats
from backend.segmentation.familiar import OTHERS, OWN, Familiar
from backend.segmentation.proposals import PLACE_VALUES, TRAITS, Linear, Proposer, Usual

FORMAT = 1
"""Of what the numbers in it mean: another one for other traits, places or preprocessing."""
VERSION, ABOUT, TOLD = "version", "proposer", "told"


def write_proposer(proposer: Proposer, version: str, told: str, path: Path) -> None:
    """version: of the engine that it was judged with. told: how good it was then, for people. Atomic."""
    about = {
        "format": FORMAT,
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
        OWN: proposer.familiar.own,
        OTHERS: proposer.familiar.others,
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
            if about["format"] != FORMAT:
                raise ValueError(f"its format is {about['format']}, not {FORMAT}")
            kinds, least = tuple(about["kinds"]), float(about["least"])
            usual = Usual(float(about["area"]), float(about["aspect"]))
            places = _linear(file, "places", (1 + len(kinds), PLACE_VALUES))
            masks = _linear(file, "masks", (1, TRAITS))
            familiar = Familiar(_looks(file, OWN), _looks(file, OTHERS))
            return said[VERSION], Proposer(kinds, places, masks, usual, least, familiar)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise WeightsError(f"{path} is no proposer of this release ({error}): the next job makes one") from None


def _looks(file: Any, name: str) -> Floats:
    looks: Floats = file.get_tensor(name)
    if looks.ndim != 2 or not len(looks) or looks.shape[1] != PLACE_VALUES or not np.isfinite(looks).all():
        raise ValueError(f"{name} is {looks.shape}, or not finite")
    return looks


def _linear(file: Any, name: str, shape: tuple[int, int]) -> Linear:
    weight, bias = file.get_tensor(f"{name}.weight"), file.get_tensor(f"{name}.bias")
    if weight.shape != shape or bias.shape != shape[:1]:
        raise ValueError(f"{name} is {weight.shape} and {bias.shape}, not {shape}")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError(f"{name} is not finite")
    return Linear(weight, bias)
