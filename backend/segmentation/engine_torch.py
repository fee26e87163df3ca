"""Runs a model with torch, in float32, on any device that torch knows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.segmentation.checkpoints import METADATA_FILE, encoder_hash
from backend.segmentation.engines import Embedding, Features, Floats, require_encoder_of
from backend.segmentation.model import GRID, SINGLE_MASK, inference_parts, model_of
from backend.segmentation.preprocess import LOW_RES_SIDE
from backend.segmentation.weights import WeightsError, WeightsFile, betters_boxes, replaced_encoder

Decode = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TorchEngine:
    """An engine (see engines.Engine). Holds no state between calls, so any number of threads may call it."""

    encoder: Callable[[Tensor], Tensor]
    decoder: Decode
    device: torch.device
    identity: str
    version: str
    twice: bool

    def for_picture(self, _embedding: Embedding) -> TorchEngine:
        """This one."""
        return self

    def encode(self, canvas: Floats) -> Features:
        """Canvas 1 x 3 x 1024 x 1024 -> the features of an embedding."""
        with torch.inference_mode():
            image = torch.tensor(canvas, device=self.device).contiguous(memory_format=torch.channels_last)
            return self.encoder(image)[0].flatten(1).T.half().cpu().contiguous().numpy()

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """B prompts of N tokens on one embedding -> logits B x 256 x 256."""
        return self.all_masks(embedding, coordinates, labels, low_res)[0][:, SINGLE_MASK]

    def all_masks(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> tuple[Floats, Floats]:
        """Likewise, all that SAM's decoder gives: logits B x 4 x 256 x 256 and predicted IoUs B x 4."""
        before = np.zeros((len(labels), LOW_RES_SIDE, LOW_RES_SIDE), np.float32) if low_res is None else low_res
        with torch.inference_mode():
            logits, ious = self.decoder(
                torch.tensor(embedding.features, device=self.device).float().T.reshape(1, -1, GRID, GRID),
                torch.tensor(coordinates, device=self.device),
                torch.tensor(labels, device=self.device),
                torch.tensor(before, device=self.device)[:, None],
                torch.tensor([float(low_res is not None)], device=self.device),
            )
            return _array(logits), _array(ious)


def load_torch_engine(weights: WeightsFile, device: str = "auto") -> TorchEngine:
    """An engine for these weights. device: a name that torch knows, or auto: CUDA where there is one, else the CPU.

    Raises WeightsError where the file does not hold what it should.
    """
    place = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    version = f"{weights.name}-{weights.sha256[:8]}"
    if weights.kind == "torchscript":
        return _torchscript_engine(weights, place, version)
    model = model_of(weights)
    identity = _identity(encoder_hash(model.state_dict(), weights.kind, weights.upsample))
    encoder, decoder = inference_parts(model)
    return TorchEngine(_placed(encoder, place), decoder.to(place), place, identity, version, weights.betters_boxes)


def _placed(encoder: nn.Module, device: torch.device) -> nn.Module:
    return encoder.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _identity(encoder: str) -> str:
    return f"{encoder}-torch-fp32"


def beside(base: TorchEngine, weights: WeightsFile, name: str) -> TorchEngine:
    """An engine of weights that were fine-tuned from those of `base`, that answers as version `name`: with its decoder,
    and with its encoder where it has one of its own.

    Raises WeightsError where the weights do not hold what they should, or were made for another encoder than base's.
    """
    model, made_for = model_of(weights), replaced_encoder(weights)
    own = encoder_hash(model.state_dict(), weights.kind, weights.upsample)
    require_encoder_of(base, made_for or own, weights)
    encoder, decoder = inference_parts(model)
    version = replace(base, decoder=decoder.to(base.device), version=name)
    return replace(version, encoder=_placed(encoder, base.device), identity=_identity(own)) if made_for else version


def _torchscript_engine(weights: WeightsFile, place: torch.device, version: str) -> TorchEngine:
    said = {METADATA_FILE: "{}"}
    try:
        with warnings.catch_warnings(
            action="ignore", category=DeprecationWarning
        ):  # torch would rather have its exports
            loaded = torch.jit.load(str(weights.path), map_location=place, _extra_files=said)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise WeightsError(f"{weights.path} cannot be read as TorchScript: {error}") from error
    # The file brings its code along, so the embedding depends on the whole file.
    identity = f"{weights.sha256[:16]}-torchscript-fp32"
    module, twice = loaded.eval(), betters_boxes(json.loads(said[METADATA_FILE]).get("encoder", weights.kind))
    return TorchEngine(module.encoder, module.decoder, place, identity, version, twice)


def _array(tensor: Tensor) -> Floats:
    return tensor.float().cpu().contiguous().numpy()
