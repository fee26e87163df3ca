"""OpenVINO graphs of weights, as files in a folder that several processes may share."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import openvino as ov
from filelock import FileLock

from backend.segmentation.weights import WeightsError, WeightsFile

ENCODER, ABOUT = "encoder.xml", "about.json"
GRAPHS_DEPEND_ON = ("openvino_graphs", "slots", "model", "layers", "repvit", "tinyvit")
"""Modules that decide what the graphs compute: graphs of another release are not used."""

ALL_PARTS = ("encoder", "f32", "bf16")
"""The encoder, which is compiled for any precision, and decoders, which have theirs in them."""

ROOM = 256 << 20
"""Bytes that graphs and what is compiled of them may take at most."""


OUTDATED = 86_400.0
"""Seconds after which graphs of another release go."""


def graphs_of(weights: WeightsFile, folder: Path) -> Path:
    """The folder of this file's graphs, written by a child process where they are not there yet. WeightsError.

    For all precisions: who prepares a folder need not have the CPU that uses it.
    """
    return graphs_with(weights, folder, ALL_PARTS)


def graphs_with(weights: WeightsFile, folder: Path, parts: tuple[str, ...]) -> Path:
    """As graphs_of, for some of ALL_PARTS."""
    source = hashlib.sha256(b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in GRAPHS_DEPEND_ON))
    version = ov.__version__.split("-")[0]
    of_weights = f"{weights.sha256[:16]}-{weights.upsample}"
    name = f"{of_weights}-{source.hexdigest()[:8]}-{version}"
    graphs = folder / (name if parts == ALL_PARTS else f"{name}-{'-'.join(parts)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{graphs}.lock"):
            if not graphs.exists():
                _write(weights, graphs, parts)
                _remove_those_of_other_releases(folder, of_weights, name)
    except OSError as error:
        raise WeightsError(
            f"{folder} cannot be written ({error.strerror}), and OpenVINO's graphs of the weights belong there: give "
            "MODEL_DIR a folder that can be written"
        ) from error
    return graphs


def _write(weights: WeightsFile, graphs: Path, parts: tuple[str, ...]) -> None:
    """Whole or not at all. Raises OSError and WeightsError."""
    with tempfile.TemporaryDirectory(dir=graphs.parent) as making:
        command = [sys.executable, "-m", "backend.segmentation.openvino_graphs"]
        made = subprocess.run(  # noqa: S603 - our own module, our own arguments
            [*command, str(weights.path), weights.kind, weights.upsample, making, *parts],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode and (free := shutil.disk_usage(making).free) < ROOM:
            raise WeightsError(
                f"{graphs.parent} has room for {free >> 20} MiB, and OpenVINO's graphs of the weights may need "
                f"{ROOM >> 20}: make room there, or give MODEL_DIR another folder"
            )
        if made.returncode:
            raise WeightsError(f"{weights.path} cannot be turned into OpenVINO graphs: {made.stderr[-2000:]}")
        Path(making).rename(graphs)
        Path(making).mkdir()  # for the context to remove


def _remove_those_of_other_releases(folder: Path, of_weights: str, ours: str) -> None:
    """Graphs of the same weights that nothing reads any more take a tenth of a gigabyte. Young ones stay: an update may
    begin in one process while another one still serves."""
    for other in folder.glob(f"{of_weights}-*"):
        if not other.name.startswith(ours) and other.is_dir() and time.time() - other.stat().st_mtime > OUTDATED:
            shutil.rmtree(other, ignore_errors=True)


def first_file(precision: str) -> str:
    """The graph for first rounds."""
    return f"first-{precision}.xml"


def replay_file(precision: str) -> str:
    """The graph that takes the mask of a round before."""
    return f"replay-{precision}.xml"


def encoder_in(graphs: Path) -> str:
    """The hash of the encoder that these graphs are of, or belong to."""
    return str(json.loads((graphs / ABOUT).read_text())["encoder"])
