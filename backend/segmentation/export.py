"""A model written for other runtimes: TorchScript and ONNX, in float32, compared with torch before anybody gets them.

Both hold the encoder and the decoder of `model.inference_parts`, which say what goes in and comes out. Any number of
prompts and tokens may be asked. Coordinates are in canvas pixels; preprocessing and the choice of the mask are not in.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.segmentation.checkpoints import METADATA_FILE
from backend.segmentation.model import example_inputs, inference_parts, model_of
from backend.segmentation.weights import WeightsFile

TOLERANCE = 1e-3
"""The largest difference from torch, of any number that comes out."""

ENCODER_FILE, DECODER_FILE = "encoder.onnx", "decoder.onnx"
ENCODER_NAMES = (["image"], ["image_embeddings"])
DECODER_NAMES = (
    ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input"],
    ["low_res_masks", "iou_predictions"],
)
"""Names of inputs and outputs, as in SAM's own export where it has them."""

Free = tuple[dict[int, torch.export.Dim], ...]
Run = Callable[..., Sequence[NDArray[np.float32]]]


class ExportError(Exception):
    """An export that cannot be made, or that is not the model. The message says what to do."""


class Exported(nn.Module):
    """What a TorchScript file holds: `encoder` and `decoder`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, canvas: Tensor) -> Tensor:
        embedding: Tensor = self.encoder(canvas)
        return embedding


def export_torchscript(weights: WeightsFile, to: Path) -> None:
    """Writes `to`, which find_weights takes like any other file. Raises ExportError where it differs from torch."""
    encoder, decoder = inference_parts(model_of(weights))
    canvas, prompts = example_inputs()
    said = {"name": weights.name, "encoder": weights.kind, "upsample": weights.upsample, "sha256": weights.sha256}
    if to.is_dir():
        raise ExportError(f"{to} is a folder: name a file in it")
    part = to.with_name(f"{to.name}.part")
    _make_folder(to.parent)
    with torch.no_grad(), _quiet():
        traced = Exported(
            torch.jit.trace(encoder, canvas, check_trace=False),  # type: ignore[no-untyped-call]
            torch.jit.trace(decoder, prompts, check_trace=False),  # type: ignore[no-untyped-call]
        )
        scripted = torch.jit.script(traced)
        torch.jit.save(scripted, str(part), _extra_files={METADATA_FILE: json.dumps(said)})
        written = torch.jit.load(str(part))  # type: ignore[no-untyped-call]
    _compare(encoder, decoder, _with_torch(written.encoder), _with_torch(written.decoder), part)
    part.replace(to)


def export_onnx(weights: WeightsFile, folder: Path) -> tuple[Path, Path]:
    """Writes encoder.onnx and decoder.onnx into `folder`. Raises ExportError where they differ from torch.

    The exporter is torch's own, which needs the package onnxscript; OpenVINO runs what was written.
    """
    encoder, decoder = inference_parts(model_of(weights))
    canvas, prompts = example_inputs()
    _make_folder(folder)
    paths = folder / ENCODER_FILE, folder / DECODER_FILE
    parts = [path.with_name(f"{path.name}.part") for path in paths]
    _write_onnx(encoder, (canvas,), parts[0], ENCODER_NAMES, ({},))
    count, tokens = torch.export.Dim("prompts"), torch.export.Dim("tokens")
    free: Free = ({}, {0: count, 1: tokens}, {0: count, 1: tokens}, {0: count}, {})
    _write_onnx(decoder, prompts, parts[1], DECODER_NAMES, free)
    _compare(encoder, decoder, _with_openvino(parts[0]), _with_openvino(parts[1]), folder)
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)
    return paths


def _make_folder(folder: Path) -> None:
    """Raises ExportError where no file can be made in it: better now than after the tracing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error.strerror}") from error


def _write_onnx(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: tuple[list[str], list[str]],
    free: Free,
) -> None:
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                module,
                inputs,
                path,
                input_names=names[0],
                output_names=names[1],
                dynamic_shapes=free,
                external_data=False,
                verbose=False,
            )
    except ModuleNotFoundError as error:
        raise ExportError(f"writing ONNX needs a package that is not installed: pip install {error.name}") from error


def _compare(encoder: nn.Module, decoder: nn.Module, encode: Run, decode: Run, written: Path) -> None:
    """What was written against what it was written from, also with other numbers of prompts and tokens."""
    canvas, _ = example_inputs()
    cases: list[tuple[str, nn.Module, Run, tuple[Tensor, ...]]] = [("encoder", encoder, encode, (canvas,))]
    for prompts, tokens, has_low_res in ((1, 2, 0.0), (3, 5, 1.0)):
        inputs = (*example_inputs(prompts, tokens)[1][:-1], torch.tensor([has_low_res]))
        cases.append((f"decoder ({prompts} prompts of {tokens} tokens)", decoder, decode, inputs))
    for name, module, run, inputs in cases:
        with torch.no_grad():
            made = module(*inputs)
        expected = made if isinstance(made, tuple) else (made,)
        differences = [np.abs(a - b.numpy()).max() for a, b in zip(run(*inputs), expected, strict=True)]
        if not max(differences) <= TOLERANCE:  # also where it is not a number
            raise ExportError(f"{written}: the {name} differs from torch by {max(differences):.2g}: do not use it")


def _with_torch(module: Callable[..., Tensor | tuple[Tensor, ...]]) -> Run:
    def run(*inputs: Tensor) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            made = module(*inputs)
        return [tensor.numpy() for tensor in (made if isinstance(made, tuple) else (made,))]

    return run


def _with_openvino(path: Path) -> Run:
    import openvino  # half a second to import, and only exports to ONNX need it here

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(*inputs: Tensor) -> list[NDArray[np.float32]]:
        return list(compiled([tensor.numpy() for tensor in inputs]).values())

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporters warn of shapes that are constant here, of old parts of their own, of what is not installed."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        log.setLevel(level)
