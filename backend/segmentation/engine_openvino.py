"""Runs a model with OpenVINO on a CPU: several times faster than torch there, and without it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
from filelock import FileLock
from numpy.typing import NDArray

from backend.segmentation.engines import ABSENT, Floats
from backend.segmentation.preprocess import LOW_RES_SIDE
from backend.segmentation.weights import WeightsError, WeightsFile

Precision = Literal["auto", "f32", "bf16"]

ENCODER, DECODER, ABOUT = "encoder.xml", "decoder.xml", "about.json"
GRAPHS_DEPEND_ON = ("openvino_graphs", "slots", "model", "layers", "repvit", "tinyvit")
"""Modules that decide what the graphs compute: graphs of another release are not used."""

FIRST_SLOTS = (2, 4, 8)
"""Token slots of the decoders that are ready from the start: up to seven clicks, or six in a box. More clicks compile
one with the next power of two when they come."""

NO_MASK = np.zeros((1, 1, LOW_RES_SIDE, LOW_RES_SIDE), np.float32)


def load_openvino_engine(
    weights: WeightsFile, folder: Path, precision: Precision = "auto", threads: int | None = None
) -> OpenVINOEngine:
    """An engine for these weights. folder: a cache of graphs and compiled graphs that several processes may share.

    precision: of the encoder; auto is bf16 where the CPU multiplies it, else f32. The decoder stays at f32: in bf16 its
    masks differ too much (docs/benchmark.md). threads: of the CPU for one call; None is all.
    Raises WeightsError where the weights do not hold what they should.
    """
    graphs = graphs_of(weights, folder)
    core = ov.Core()
    core.set_property({"CACHE_DIR": str(folder / "compiled")})
    if precision == "auto":
        precision = precisions()[-1]
    options: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    engine = OpenVINOEngine(
        encoder=_compiled(core, graphs / ENCODER, {**options, "INFERENCE_PRECISION_HINT": precision}),
        compile_decoder=lambda graph: _compiled(core, graph, {**options, "INFERENCE_PRECISION_HINT": "f32"}),
        decoder_graph=core.read_model(graphs / DECODER),
        identity=f"{json.loads((graphs / ABOUT).read_text())['encoder']}-openvino-{precision}",
        version=f"{weights.name}-{weights.sha256[:8]}",
    )
    for slots in FIRST_SLOTS:
        engine.decoder_of(slots)
    return engine


def precisions() -> tuple[Literal["f32", "bf16"], ...]:
    """What this CPU multiplies by itself, the fastest last."""
    return ("f32", "bf16") if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else ("f32",)


def graphs_of(weights: WeightsFile, folder: Path) -> Path:
    """The folder of this file's graphs, written by a child process where they are not there yet."""
    source = hashlib.sha256(b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in GRAPHS_DEPEND_ON))
    version = ov.__version__.split("-")[0]
    graphs = folder / f"{weights.sha256[:16]}-{weights.upsample}-{source.hexdigest()[:8]}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{graphs}.lock"):
        if not graphs.exists():
            with tempfile.TemporaryDirectory(dir=folder) as making:
                command = [sys.executable, "-m", "backend.segmentation.openvino_graphs"]
                made = subprocess.run(  # noqa: S603 - our own module, our own arguments
                    [*command, str(weights.path), weights.kind, weights.upsample, making],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if made.returncode:
                    raise WeightsError(f"{weights.path} cannot be turned into OpenVINO graphs: {made.stderr[-2000:]}")
                Path(making).rename(graphs)
                Path(making).mkdir()  # for the context to remove
    return graphs


@dataclass
class Compiled:
    """A compiled graph and its one request: the graph uses all cores by itself, so calls take turns."""

    request: ov.InferRequest
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, *inputs: NDArray[np.generic]) -> list[Floats]:
        with self.lock:
            self.request.infer(list(inputs), share_inputs=True)
            # Copies, since the next call writes there.
            return [output.data.astype(np.float32) for output in self.request.output_tensors]


def _compiled(core: ov.Core, graph: ov.Model | Path, options: dict[str, object]) -> Compiled:
    return Compiled(core.compile_model(graph, "CPU", options).create_infer_request())


@dataclass
class OpenVINOEngine:
    """An engine (see engines.Engine). What it keeps between calls are compiled graphs, so any thread may call it."""

    encoder: Compiled
    compile_decoder: Callable[[ov.Model], Compiled]
    decoder_graph: ov.Model
    identity: str
    version: str
    _decoders: dict[int, Compiled] = field(default_factory=dict)
    _compiling: threading.Lock = field(default_factory=threading.Lock)

    def encode(self, canvas: Floats) -> Floats:
        """Canvas 1 x 3 x 1024 x 1024 -> embedding 256 x 64 x 64."""
        (embeddings,) = self.encoder(canvas)
        embedding: Floats = embeddings[0]
        return embedding

    def decode(
        self, embedding: Floats, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> tuple[Floats, Floats]:
        """B prompts of N tokens on one embedding -> logits B x 4 x 256 x 256, predicted IoUs B x 4.

        One prompt after the other: on a CPU a batch is no faster than its parts, and would need a graph of its own.
        """
        tokens = labels.shape[1]
        slots = max(FIRST_SLOTS[0], 1 << (tokens - 1).bit_length())
        decoder, fed_back = self.decoder_of(slots), np.array([low_res is not None], np.float32)
        made = []
        for index in range(len(labels)):
            placed, named = np.zeros((1, slots, 2), np.float32), np.full((1, slots), ABSENT, np.int64)
            placed[0, :tokens], named[0, :tokens] = coordinates[index], labels[index]
            before = NO_MASK if low_res is None else low_res[index : index + 1]
            made.append(decoder(embedding[None], placed, named, before, fed_back))
        logits, ious = zip(*made, strict=True)
        return np.concatenate(logits), np.concatenate(ious)

    def decoder_of(self, slots: int) -> Compiled:
        """The decoder with this many token slots, compiled where it is asked for the first time."""
        with self._compiling:
            if slots not in self._decoders:
                graph = self.decoder_graph.clone()
                graph.reshape({1: [1, slots, 2], 2: [1, slots]})
                self._decoders[slots] = self.compile_decoder(graph)
            return self._decoders[slots]
