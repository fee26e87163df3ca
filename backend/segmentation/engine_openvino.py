"""Runs a model with OpenVINO on a CPU: several times faster than torch there, and without it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
from filelock import FileLock
from numpy.typing import NDArray

from backend.segmentation.engines import ABSENT, Floats, require_encoder_of
from backend.segmentation.preprocess import LOW_RES_SIDE
from backend.segmentation.weights import WeightsError, WeightsFile

Precision = Literal["auto", "f32", "bf16"]

ENCODER, HEADS, ABOUT = "encoder.xml", "heads.xml", "about.json"
FIRST, TRANSFORMER = "first.xml", "transformer.xml"
GRAPHS_DEPEND_ON = ("openvino_graphs", "slots", "model", "layers", "repvit", "tinyvit")
"""Modules that decide what the graphs compute: graphs of another release are not used."""

FIRST_SLOTS, SLOTS = 2, 8
"""Token slots of the two transformers that are ready from the start, 90 MiB each: for the first round of a click or a
box, which has no mask of a round before, and for up to seven clicks, or six in a box. More compile one with the next
power of two when they come."""

NO_MASK = np.zeros((1, 1, LOW_RES_SIDE, LOW_RES_SIDE), np.float32)


def load_openvino_engine(weights: WeightsFile, folder: Path, precision: Precision = "auto") -> OpenVINOEngine:
    """An engine for these weights. folder: a cache of graphs and compiled graphs that several processes may share.

    precision: of encoder and mask heads; auto is bf16 where the CPU multiplies it, else f32. The transformer between
    them stays at f32: in bf16 its masks differ too much (docs/benchmark.md).
    Raises WeightsError where the weights do not hold what they should.
    """
    graphs = graphs_of(weights, folder)
    core = ov.Core()
    core.set_property({"CACHE_DIR": str(folder / "compiled")})
    if precision == "auto":
        precision = precisions()[-1]
    engine = OpenVINOEngine(
        encoder=_compiled(core, graphs / ENCODER, precision),
        precision=precision,
        decoder=_decoder_in(graphs, core, precision),
        identity=f"{_encoder_in(graphs)}-openvino-{precision}",
        version=f"{weights.name}-{weights.sha256[:8]}",
    )
    engine.decoder.transformer_of(SLOTS)
    return engine


def with_decoder_of(base: OpenVINOEngine, weights: WeightsFile, folder: Path, name: str) -> OpenVINOEngine:
    """An engine with the encoder of `base` and the decoder of other weights, that answers as version `name`.

    folder: where the decoder's graphs are kept; nothing else need be there. What is compiled is not: it takes a third
    of a second. Raises WeightsError where the weights do not hold what they should, or another encoder than base's.
    """
    graphs = decoder_graphs_of(weights, folder)
    require_encoder_of(base, _encoder_in(graphs), weights)
    decoder = _decoder_in(graphs, ov.Core(), base.precision)
    decoder.transformer_of(SLOTS)
    return replace(base, decoder=decoder, version=name)


def _decoder_in(graphs: Path, core: ov.Core, precision: str) -> _Decoder:
    return _Decoder(
        heads=_compiled(core, graphs / HEADS, precision),
        first=_compiled(core, _with_slots(core.read_model(graphs / FIRST), FIRST_SLOTS), "f32"),
        transformer=graphs / TRANSFORMER,
        core=core,
    )


def _compiled(core: ov.Core, graph: ov.Model | Path, arithmetic: str) -> ov.InferRequest:
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": arithmetic}
    return core.compile_model(graph, "CPU", options).create_infer_request()


def _encoder_in(graphs: Path) -> str:
    return str(json.loads((graphs / ABOUT).read_text())["encoder"])


def precisions() -> tuple[Literal["f32", "bf16"], ...]:
    """What this CPU multiplies by itself, the fastest last."""
    return ("f32", "bf16") if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else ("f32",)


def graphs_of(weights: WeightsFile, folder: Path) -> Path:
    """The folder of this file's graphs, written by a child process where they are not there yet. WeightsError."""
    return _written(weights, folder, "all")


def decoder_graphs_of(weights: WeightsFile, folder: Path) -> Path:
    """Likewise, without the encoder's graph; its hash is there."""
    return _written(weights, folder, "decoder")


def _written(weights: WeightsFile, folder: Path, part: Literal["all", "decoder"]) -> Path:
    source = hashlib.sha256(b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in GRAPHS_DEPEND_ON))
    version = ov.__version__.split("-")[0]
    name = f"{weights.sha256[:16]}-{weights.upsample}-{source.hexdigest()[:8]}-{version}"
    graphs = folder / (name if part == "all" else f"{name}-{part}")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{graphs}.lock"):
        if not graphs.exists():
            with tempfile.TemporaryDirectory(dir=folder) as making:
                command = [sys.executable, "-m", "backend.segmentation.openvino_graphs"]
                made = subprocess.run(  # noqa: S603 - our own module, our own arguments
                    [*command, str(weights.path), weights.kind, weights.upsample, making, part],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if made.returncode:
                    raise WeightsError(f"{weights.path} cannot be turned into OpenVINO graphs: {made.stderr[-2000:]}")
                Path(making).rename(graphs)
                Path(making).mkdir()  # for the context to remove
    return graphs


@dataclass(frozen=True)
class _Decoder:
    """What of an engine a version has for itself."""

    heads: ov.InferRequest
    first: ov.InferRequest
    transformer: Path
    core: ov.Core
    compiled: dict[int, ov.InferRequest] = field(default_factory=dict)

    def transformer_of(self, slots: int) -> ov.InferRequest:
        """The transformer with this many token slots, compiled where it is asked for the first time."""
        if slots not in self.compiled:
            graph = self.core.read_model(self.transformer)  # not kept: 17 MiB that are hardly ever read again
            self.compiled[slots] = _compiled(self.core, _with_slots(graph, slots), "f32")
        return self.compiled[slots]


@dataclass(frozen=True)
class OpenVINOEngine:
    """An engine (see engines.Engine). Any thread may call it: a graph uses all cores by itself, so calls take turns,
    those of an engine made `with_decoder_of` it too."""

    encoder: ov.InferRequest
    precision: str
    decoder: _Decoder
    identity: str
    version: str
    encoding: threading.Lock = field(default_factory=threading.Lock)
    decoding: threading.Lock = field(default_factory=threading.Lock)

    def encode(self, canvas: Floats) -> Floats:
        """Canvas 1 x 3 x 1024 x 1024 -> embedding 256 x 64 x 64."""
        with self.encoding:
            self.encoder.infer([canvas], share_inputs=True)
            return np.array(self.encoder.get_output_tensor(0).data[0], np.float32)  # a copy: the next call writes there

    def decode(
        self, embedding: Floats, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> tuple[Floats, Floats]:
        """B prompts of N tokens on one embedding -> logits B x 4 x 256 x 256, predicted IoUs B x 4.

        One prompt after the other: on a CPU a batch is no faster than its parts, and would need a graph of its own.
        """
        tokens = labels.shape[1]
        first = low_res is None and tokens <= FIRST_SLOTS
        slots = FIRST_SLOTS if first else max(SLOTS, 1 << (tokens - 1).bit_length())
        made = []
        for index in range(len(labels)):
            placed, named = np.zeros((1, slots, 2), np.float32), np.full((1, slots), ABSENT, np.int64)
            placed[0, :tokens], named[0, :tokens] = coordinates[index], labels[index]
            prompt: list[NDArray[np.generic]] = [embedding[None], placed, named]
            if not first:
                before = NO_MASK if low_res is None else low_res[index : index + 1]
                prompt += [before, np.array([low_res is not None], np.float32)]
            made.append(self._decoded(prompt, None if first else slots))
        logits, ious = zip(*made, strict=True)
        return np.concatenate(logits), np.concatenate(ious)

    def _decoded(self, prompt: list[NDArray[np.generic]], slots: int | None) -> tuple[Floats, Floats]:
        """slots: of the transformer that takes the prompt; None is the one for first rounds."""
        with self.decoding:
            decoder = self.decoder
            transformer = decoder.first if slots is None else decoder.transformer_of(slots)
            transformer.infer(prompt, share_inputs=True)
            decoder.heads.infer([tensor.data for tensor in transformer.output_tensors], share_inputs=True)
            logits, ious = (np.array(tensor.data, np.float32) for tensor in decoder.heads.output_tensors)
        return logits, ious


def _with_slots(graph: ov.Model, slots: int) -> ov.Model:
    graph.reshape({1: [1, slots, 2], 2: [1, slots]})
    return graph
