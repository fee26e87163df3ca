"""Runs a model with OpenVINO on a CPU: several times faster than torch there, and without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
from filelock import FileLock
from numpy.typing import NDArray

from backend.segmentation.engines import ABSENT, Embedding, Features, Floats, require_encoder_of
from backend.segmentation.graph_files import ENCODER, encoder_in, first_file, graphs_of, graphs_with, replay_file
from backend.segmentation.lanes import Lane, Lanes
from backend.segmentation.mapped_files import let_go
from backend.segmentation.preprocess import LOW_RES_SIDE
from backend.segmentation.weights import WeightsFile, replaced_encoder

Precision = Literal["auto", "f32", "bf16"]

FIRST_SLOTS, SLOTS = 2, 8
"""Token slots of the two decoders that are ready from the start: for the first round of a click or a box, which has no
mask of a round before, and for up to seven clicks, or six in a box. More compile one with the next power of two when
they come."""

TURN_SECONDS = 10.0
"""So long a process waits for others that compile; then it compiles for itself, which takes seconds."""

NO_MASK = np.zeros((1, 1, LOW_RES_SIDE, LOW_RES_SIDE), np.float32)


def load_openvino_engine(weights: WeightsFile, folder: Path, precision: Precision = "auto") -> OpenVINOEngine:
    """An engine for these weights. folder: a cache of graphs and compiled graphs that several processes may share.

    precision: of the encoder and of the decoder's products; auto is bf16 where the CPU multiplies it, else f32. The
    rest of the decoder stays at f32: in bf16 its masks differ too much (docs/benchmark.md).
    Raises WeightsError where the weights do not hold what they should.
    """
    if precision == "auto":
        precision = precisions()[-1]
    graphs = graphs_of(weights, folder)
    core = ov.Core()
    core.set_property({"CACHE_DIR": str(folder / "compiled")})
    engine = OpenVINOEngine(
        encoder=_compiled(core, graphs / ENCODER, precision),
        precision=precision,
        decoder=_decoder_in(graphs, core, precision, two=True),
        identity=_identity(graphs, precision),
        version=f"{weights.name}-{weights.sha256[:8]}",
        twice=weights.betters_boxes,
    )
    engine.decoder.replay_of(SLOTS)
    let_go(folder)
    return engine


def beside(base: OpenVINOEngine, weights: WeightsFile, folder: Path, name: str) -> OpenVINOEngine:
    """An engine of weights that were fine-tuned from those of `base`, that answers as version `name`: with its decoder,
    and with its encoder where it has one of its own.

    folder: where its graphs are kept; nothing else need be there. What is compiled is not: it takes a second at most.
    All its decodes are done on all cores: a graph for those beside would take 50 MiB for each version. Raises
    WeightsError where the weights do not hold what they should, or were made for another encoder than base's.
    """
    made_for, precision, core = replaced_encoder(weights), base.precision, ov.Core()
    graphs = graphs_with(weights, folder, ("encoder", precision) if made_for else (precision,))
    require_encoder_of(base, made_for or encoder_in(graphs), weights)
    decoder = _decoder_in(graphs, core, precision, two=False)
    decoder.replay_of(SLOTS)
    version = replace(base, decoder=decoder, version=name)
    if made_for:
        encoder = _compiled(core, graphs / ENCODER, precision)
        version = replace(version, encoder=encoder, identity=_identity(graphs, precision), encoding=threading.Lock())
    let_go(folder)
    return version


def _identity(graphs: Path, precision: str) -> str:
    return f"{encoder_in(graphs)}-openvino-{precision}"


def _decoder_in(graphs: Path, core: ov.Core, precision: str, two: bool) -> _Decoder:
    """two: first rounds have two graphs, where there is more than one core."""

    def first(cores: int | None = None) -> ov.InferRequest:
        graph = _with_slots(core.read_model(graphs / first_file(precision)), FIRST_SLOTS)
        return _compiled(core, graph, "f32", cores)

    on_all = first()
    cores = on_all.get_compiled_model().get_property("INFERENCE_NUM_THREADS")
    aside = first(cores // 2) if two and cores > 1 else None
    return _Decoder(on_all, aside, graphs / replay_file(precision), core)


def _compiled(core: ov.Core, graph: ov.Model | Path, arithmetic: str, cores: int | None = None) -> ov.InferRequest:
    """arithmetic: of all that the graph does not convert by itself. cores: None is all.

    Its threads are not bound to cores, as they are by default: several annotators get a few percent more clicks
    (docs/benchmark.md).
    """
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": arithmetic, "ENABLE_CPU_PINNING": False}
    if cores:
        options |= {"INFERENCE_NUM_THREADS": cores}
    cache = core.get_property("CACHE_DIR")
    with _alone_in(Path(cache)) if cache else nullcontext(True) as alone:
        if not alone:
            options["CACHE_DIR"] = ""
        return core.compile_model(graph, "CPU", options).create_infer_request()


@contextmanager
def _alone_in(cache: Path) -> Iterator[bool]:
    """Whether no other process compiles into this folder meanwhile: OpenVINO writes in place what others read and map,
    and they would die of half a file (2026.4). False where it cannot be had, or another one has it for too long.
    """
    lock = FileLock(f"{cache}.lock")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=TURN_SECONDS)
    except OSError:  # filelock's Timeout is one
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def precisions() -> tuple[Literal["f32", "bf16"], ...]:
    """What this CPU multiplies by itself, the fastest last."""
    return ("f32", "bf16") if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else ("f32",)


@dataclass(frozen=True)
class _Decoder:
    """What of an engine a version has for itself."""

    first: ov.InferRequest
    aside: ov.InferRequest | None
    """As `first`, on half of the cores."""
    replay: Path
    core: ov.Core
    compiled: dict[int, ov.InferRequest] = field(default_factory=dict)

    def replay_of(self, slots: int) -> ov.InferRequest:
        """The graph with this many token slots, compiled where it is asked for the first time."""
        if slots not in self.compiled:
            graph = self.core.read_model(self.replay)  # not kept: 24 MiB that are hardly ever read again
            self.compiled[slots] = _compiled(self.core, _with_slots(graph, slots), "f32")
        return self.compiled[slots]


@dataclass(frozen=True)
class OpenVINOEngine:
    """An engine (see engines.Engine). Any thread may call it: a graph uses its cores by itself, so calls take turns, or
    lanes, those of engines `beside` it too."""

    encoder: ov.InferRequest
    precision: str
    decoder: _Decoder
    identity: str
    version: str
    twice: bool
    encoding: threading.Lock = field(default_factory=threading.Lock)
    lanes: Lanes = field(default_factory=Lanes)

    def for_picture(self, _embedding: Embedding) -> OpenVINOEngine:
        """This one."""
        return self

    def encode(self, canvas: Floats) -> Features:
        """Canvas 1 x 3 x 1024 x 1024 -> the features of an embedding."""
        with self.encoding:
            self.encoder.infer([canvas], share_inputs=True)
            return np.array(self.encoder.get_output_tensor(0).data[0])  # a copy: the next call writes there

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """B prompts of N tokens on one embedding -> logits B x 256 x 256.

        One prompt after the other: on a CPU a batch is no faster than its parts, and would need a graph of its own.
        """
        tokens = labels.shape[1]
        first = low_res is None and tokens <= FIRST_SLOTS
        slots = FIRST_SLOTS if first else max(SLOTS, 1 << (tokens - 1).bit_length())
        made = []
        for index in range(len(labels)):
            placed, named = np.zeros((1, slots, 2), np.float32), np.full((1, slots), ABSENT, np.int64)
            placed[0, :tokens], named[0, :tokens] = coordinates[index], labels[index]
            prompt: list[NDArray[np.generic]] = [embedding.features[None], placed, named]
            if not first:
                before = NO_MASK if low_res is None else low_res[None, index : index + 1]
                prompt += [before, np.array([low_res is not None], np.float32)]
            made.append(self._decoded(prompt, None if first else slots))
        return np.stack(made)

    def _decoded(self, prompt: list[NDArray[np.generic]], slots: int | None) -> Floats:
        """slots: of the graph that takes the prompt; None is the one for first rounds."""
        decoder = self.decoder
        with self.lanes.taken(half_will_do=slots is None and decoder.aside is not None) as lane:
            graph = decoder.replay_of(slots) if slots else decoder.aside if lane is Lane.HALF else decoder.first
            assert graph is not None, "who has no graph for half of the cores does not ask for them"
            graph.infer(prompt, share_inputs=True)
            return np.array(graph.get_output_tensor(0).data[0, 0])


def _with_slots(graph: ov.Model, slots: int) -> ov.Model:
    graph.reshape({1: [1, slots, 2], 2: [1, slots]})
    return graph
