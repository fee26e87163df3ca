"""A model as OpenVINO graphs: `python -m backend.segmentation.openvino_graphs PATH KIND UPSAMPLE FOLDER PART...`.

The only part of the OpenVINO engine that needs torch. It runs once for each file of weights, in a process of its own,
so that the one that serves never holds torch.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import openvino as ov
import torch

from backend.segmentation.checkpoints import encoder_hash, read_state_dict
from backend.segmentation.engines import FEATURES
from backend.segmentation.graph_files import ABOUT, ALL_PARTS, ENCODER, first_file, replay_file
from backend.segmentation.model import example_inputs, inference_parts, load_model
from backend.segmentation.preprocess import LOW_RES_SIDE, SIDE
from backend.segmentation.slots import SlottedDecoder


def write_graphs(weights: Path, kind: str, upsample: str, folder: Path, parts: Sequence[str]) -> None:
    """Those of graph_files.ALL_PARTS, and the encoder's hash, into `folder`. Raises WeightsError."""
    state = read_state_dict(weights)
    model = load_model(state, kind, upsample)  # type: ignore[arg-type]
    canvas, (embedding, *prompt) = example_inputs(prompts=1)
    if "encoder" in parts:
        encoder, _ = inference_parts(model)
        _write(_Encoder(encoder), (canvas,), [[1, 3, SIDE, SIDE]], folder / ENCODER)
    asked = embedding.flatten(2).transpose(1, 2).half(), *prompt
    shapes = [[1, *FEATURES], [1, -1, 2], [1, -1], [1, 1, LOW_RES_SIDE, LOW_RES_SIDE], [1]]
    for precision in set(parts) - {"encoder"}:
        decoder = _Decoder(SlottedDecoder(model, masks=1, narrow=precision == "bf16")).eval().requires_grad_(False)
        _write(decoder, asked, shapes, folder / replay_file(precision))
        _write(decoder, asked[:3], shapes[:3], folder / first_file(precision))
    (folder / ABOUT).write_text(json.dumps({"encoder": encoder_hash(state, kind, upsample)}))


class _Encoder(torch.nn.Module):
    """Canvas -> embedding as engines keep it, 1 x 4096 x 256."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.encoder(canvas)
        return embedding.flatten(2).transpose(1, 2).half()


class _Decoder(torch.nn.Module):
    """The single mask alone."""

    def __init__(self, decoder: SlottedDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *prompt: torch.Tensor) -> torch.Tensor:
        masks: torch.Tensor = self.decoder(*prompt)[0]
        return masks


def _write(module: torch.nn.Module, example: tuple[torch.Tensor, ...], shapes: list[list[int]], path: Path) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about shapes that are meant to be fixed
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        graph = ov.convert_model(traced, example_input=example, input=[ov.PartialShape(shape) for shape in shapes])
    ov.save_model(graph, path, compress_to_fp16=False)


if __name__ == "__main__":
    if sys.argv[5:] != list(ALL_PARTS):
        os.nice(19)  # another version answers meanwhile, and whoever clicks there goes first
    write_graphs(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5:])
