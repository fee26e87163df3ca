"""Files of weights: read without running anything that is in them, and told apart by what they hold.

torch is imported by the functions that read tensors: a process that runs another engine does not need it.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["repvit_m1", "tinyvit", "torchscript"]
"""Encoders that a file of tensors may hold. A TorchScript file brings its own code: "torchscript"."""

UPSAMPLES = ("bicubic", "bilinear")
MARKS = {"image_encoder.fuse_stage2.weight": "repvit_m1", "image_encoder.patch_embed.seq.0.c.weight": "tinyvit"}
"""A parameter that only one kind of encoder has."""

FAMILIAR = "familiar."
UNUSED = ("image_encoder.norm_head.", "image_encoder.head.", FAMILIAR)
"""What files have besides a segmentation model. mobile_sam.pt: the classifier that TinyViT was trained with first. What
was fine-tuned: the pictures that it is familiar with."""

METADATA_FILE = "edgesam.json"
"""The extra file of a TorchScript file that says where it comes from."""


class WeightsError(Exception):
    """Weights that cannot be found, fetched, trusted or read. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of weights says of itself. upsample: None where it does not say, or has no such step."""

    kind: Kind
    upsample: str | None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents_of(path: Path) -> Contents:
    """Which encoder the file holds. Raises WeightsError where it is none of ours."""
    if path.suffix == ".safetensors":
        return _contents_of_safetensors(path)
    if is_torchscript(path):
        return Contents("torchscript", None)
    return Contents(_kind_of(path, list(read_state_dict(path))), None)


def is_torchscript(path: Path) -> bool:
    """Whether `path` is what export_torchscript wrote. Nothing in it is run."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return any(name.endswith(f"/extra/{METADATA_FILE}") for name in file.namelist())


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The file's tensors on the CPU, floats as float32. Raises WeightsError where it is not a state dict."""
    import torch

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                loaded: object = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights make torch's reader raise nearly anything
        raise WeightsError(
            f"{path} cannot be read as weights ({type(error).__name__}): give a whole .safetensors, .pth or "
            "TorchScript file"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise WeightsError(f"{path} holds no state dict (names and tensors): give a published or exported file")
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in loaded.items()
        if not name.startswith(UNUSED)
    }


def encoder_hash(state: dict[str, Tensor], kind: str, upsample: str) -> str:
    """16 digits for all that an embedding depends on: a decoder trained anew keeps them, another encoder does not."""
    digest = hashlib.sha256(f"{kind} {upsample}".encode())
    for name in sorted(state):
        if name.startswith("image_encoder.") and state[name].is_floating_point():
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def opened_safetensors(path: Path) -> Iterator[Any]:
    """The file as safetensors has it, with arrays of numpy. Raises WeightsError."""
    try:
        with safe_open(path, "numpy") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error


def said_in(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing where it is another kind of file. Raises WeightsError."""
    if path.suffix != ".safetensors":
        return {}
    with opened_safetensors(path) as file:
        return file.metadata() or {}


def _contents_of_safetensors(path: Path) -> Contents:
    with opened_safetensors(path) as file:
        names, said = list(file.keys()), file.metadata() or {}
    kind, upsample = _kind_of(path, names), said.get("upsample")
    if said.get("encoder", kind) != kind:
        raise WeightsError(f"{path} says that it holds the encoder {said['encoder']!r}, but its tensors are {kind}'s")
    if upsample not in (None, *UPSAMPLES):
        raise WeightsError(f"{path} names the upsample mode {upsample!r}: only {' and '.join(UPSAMPLES)} are known")
    return Contents(kind, upsample)


def _kind_of(path: Path, names: list[str]) -> Kind:
    for mark, kind in MARKS.items():
        if mark in names:
            return cast(Kind, kind)
    first = ", ".join(names[:3]) or "no tensors at all"
    raise WeightsError(f"{path} holds neither EdgeSAM nor MobileSAM: it begins with {first}")
