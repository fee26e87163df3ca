"""Canvases ahead of the device: drawn by processes of their own while it computes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import gcd
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from backend.learning.canvases import Canvas, Picture, mosaic, part, whole
from backend.learning.masks import DataError, Sample, samples_of, source_folders
from backend.learning.photographs import Photograph, index_of, shards_in
from backend.learning.variations import varied

CANVASES_BETWEEN_LOOKS = 64
"""How many canvases a process draws before it looks for new shards."""
WHOLE, PARTS = 0.5, 0.2
"""Of what is no mosaic, so many canvases show a picture whole to so many that show a part of one."""
PIECES = 4
"""A batch comes in so many pieces where its size can be divided: 32 canvases would take 100 MB of shared memory for
each process and each batch ahead."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B canvases with N true objects.

    pixels: uint8 B x 3 x 1024 x 1024. extents: B x 2, height and width. coverage: uint8 N x 256 x 256, 255 where an
    object covers all of a cell. owner: int64 N, the canvas of each object. photographs: bool B, where nobody drew
    masks.
    """

    pixels: Tensor
    extents: Tensor
    coverage: Tensor
    owner: Tensor
    photographs: Tensor

    def pin_memory(self) -> Batch:
        """In page-locked memory: what torch's loader asks of a type of our own."""
        return Batch(*(tensor.pin_memory() for tensor in self._tensors()))

    def to(self, device: torch.device) -> Batch:
        """On the device; from page-locked memory it does not wait."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.pixels, self.extents, self.coverage, self.owner, self.photographs


@dataclass(frozen=True, slots=True)
class Sources:
    """What canvases are made of.

    photos: a folder of shards. masks: folders of true masks, each one source or several beside each other.
    true_share: how many canvases show pictures with true masks. mosaic_share: how many are mosaics; for the
    others see WHOLE and PARTS.
    """

    photos: Path
    masks: tuple[Path, ...] = ()
    true_share: float = 0.0
    mosaic_share: float = 0.5


class Canvases(IterableDataset[Canvas]):
    """Endless. The same seed draws the same canvases; each process, rank and start of a run draws others.

    most_objects: of the true objects on one canvas.
    """

    def __init__(self, sources: Sources, seed: tuple[int, ...], most_objects: int) -> None:
        self.sources, self.seed, self.most_objects = sources, seed, most_objects
        self.by_source = [
            samples for folder in sources.masks for one in source_folders(folder) if (samples := trained_on(one))
        ]
        if sources.true_share and not self.by_source:
            raise DataError(f"no true masks in {', '.join(map(str, sources.masks)) or 'any folder: name one'}")
        shards_in(sources.photos)  # says at once, not in a process later, that there are none

    def __iter__(self) -> Iterator[Canvas]:
        worker = get_worker_info()
        random = np.random.default_rng([*self.seed, worker.id if worker else 0])
        shares = np.sqrt([len(samples) for samples in self.by_source])  # a large source does not drown the others
        known: list[Path] = []
        photographs: list[Photograph] = []
        while True:
            if (shards := shards_in(self.sources.photos)) != known:
                known, photographs = shards, index_of(shards)
            for _ in range(CANVASES_BETWEEN_LOOKS):
                yield self._drawn(random, photographs, shares / max(shares.sum(), 1))

    def _drawn(self, random: np.random.Generator, photographs: list[Photograph], shares: NDArray[np.float64]) -> Canvas:
        true = random.random() < self.sources.true_share

        def picture() -> Picture:
            if not true:
                return varied(random, Picture(photographs[random.integers(len(photographs))].pixels()))
            samples = self.by_source[random.choice(len(shares), p=shares)]
            return varied(random, opened(samples[random.integers(len(samples))]))

        if random.random() < self.sources.mosaic_share:
            return mosaic(random, (picture(), picture(), picture(), picture()), self.most_objects)
        shown = picture()
        if random.random() < PARTS / (WHOLE + PARTS):
            shown = part(random, shown)
        return whole(random, shown, self.most_objects)


def held_out(sample: Sample) -> bool:
    """Whether a picture with true masks is kept for validation: one in sixteen, by its name alone."""
    return sum(sample.image.name.encode()) % 16 == 0


def trained_on(folder: Path) -> list[Sample]:
    return [sample for sample in samples_of(folder) if sample.objects and not held_out(sample)]


def opened(sample: Sample) -> Picture:
    return Picture(sample.pixels(), sample.labels().astype(np.uint16))


def batches(canvases: Canvases, size: int, workers: int, device: torch.device) -> Iterator[Batch]:
    """Batches without end, on the device."""
    pieces, pin = gcd(size, PIECES), device.type == "cuda"
    loader: DataLoader[Canvas] = DataLoader(
        canvases,
        size // pieces,
        num_workers=workers,
        collate_fn=collated,
        pin_memory=pin,
        prefetch_factor=3 if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_on_its_own,
    )
    drawn: Iterator[Batch] = iter(loader)  # begins to draw now
    return (joined([piece.to(device) for piece in islice(drawn, pieces)]) for _ in count())


def _on_its_own(_worker: int) -> None:
    """Ctrl-C and a SIGTERM to the whole group reach the run alone: it saves first, and then ends its processes.

    Each has one thread: there are as many processes as are wanted.
    """
    os.setsid()
    cv2.setNumThreads(1)


def collated(canvases: Sequence[Canvas]) -> Batch:
    owners = [number for number, canvas in enumerate(canvases) for _ in canvas.coverage]
    return Batch(
        torch.from_numpy(np.stack([canvas.pixels for canvas in canvases])).permute(0, 3, 1, 2),
        torch.tensor([canvas.extent for canvas in canvases]),
        torch.from_numpy(np.concatenate([canvas.coverage for canvas in canvases])),
        torch.tensor(owners, dtype=torch.long),
        torch.tensor([canvas.photograph for canvas in canvases]),
    )


def joined(pieces: Sequence[Batch]) -> Batch:
    """One batch of several."""
    before = np.cumsum([0, *(len(piece.pixels) for piece in pieces)])
    return Batch(
        torch.cat([piece.pixels for piece in pieces]),
        torch.cat([piece.extents for piece in pieces]),
        torch.cat([piece.coverage for piece in pieces]),
        torch.cat([piece.owner + int(first) for piece, first in zip(pieces, before, strict=False)]),
        torch.cat([piece.photographs for piece in pieces]),
    )
