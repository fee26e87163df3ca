"""Writes a model as OpenVINO graphs: `python -m backend.segmentation.openvino_graphs PATH KIND UPSAMPLE FOLDER PART`.

The only part of the OpenVINO engine that needs torch. It runs once for each file of weights, in a process of its own,
so that the one that serves never holds torch.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import openvino as ov
import torch

from backend.segmentation.checkpoints import encoder_hash, read_state_dict
from backend.segmentation.engine_openvino import ABOUT, ENCODER, FIRST, HEADS, TRANSFORMER
from backend.segmentation.model import GRID, example_inputs, inference_parts, load_model
from backend.segmentation.preprocess import LOW_RES_SIDE, SIDE
from backend.segmentation.slots import MaskHeads, SlottedTransformer


def write_graphs(weights: Path, kind: str, upsample: str, folder: Path, part: str) -> None:
    """Encoder, transformers, mask heads and the encoder's hash into `folder`. Raises WeightsError.

    part: "all", or "decoder": without the encoder's graph.
    """
    state = read_state_dict(weights)
    model = load_model(state, kind, upsample)  # type: ignore[arg-type]
    transformer = SlottedTransformer(model).eval().requires_grad_(False)
    canvas, prompt = example_inputs(prompts=1)
    if part == "all":
        encoder, _ = inference_parts(model)
        _write(encoder, (canvas,), [[1, 3, SIDE, SIDE]], folder / ENCODER)
    shapes = [[1, 256, GRID, GRID], [1, -1, 2], [1, -1], [1, 1, LOW_RES_SIDE, LOW_RES_SIDE], [1]]
    _write(transformer, prompt, shapes, folder / TRANSFORMER)
    _write(transformer, prompt[:3], shapes[:3], folder / FIRST)
    with torch.inference_mode():
        made = transformer(*prompt)
    _write(MaskHeads(model).eval(), made, [list(tensor.shape) for tensor in made], folder / HEADS)
    (folder / ABOUT).write_text(json.dumps({"encoder": encoder_hash(state, kind, upsample)}))


def _write(module: torch.nn.Module, example: tuple[torch.Tensor, ...], shapes: list[list[int]], path: Path) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about shapes that are meant to be fixed
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        graph = ov.convert_model(traced, example_input=example, input=[ov.PartialShape(shape) for shape in shapes])
    ov.save_model(graph, path, compress_to_fp16=False)


if __name__ == "__main__":
    if sys.argv[5] == "decoder":
        os.nice(19)  # another version answers meanwhile, and whoever clicks there goes first
    write_graphs(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5])
