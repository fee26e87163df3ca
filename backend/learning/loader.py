"""Canvases ahead of the device: drawn by processes of their own while it computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from backend.learning.canvases import Canvas, Picture, mosaic, varied, whole
from backend.learning.masks import DataError, Sample, samples_of, source_folders
from backend.learning.photographs import Photograph, index_of, shards_in

CANVASES_BETWEEN_LOOKS = 64
"""How many canvases a process draws before it looks for new shards."""


@dataclass(frozen=True, slots=True)
class Batch:
    """pixels: uint8 B x 3 x 1024 x 1024. extents: B x 2, height and width. labels: int16 B x 256 x 256."""

    pixels: Tensor
    extents: Tensor
    labels: Tensor

    def pin_memory(self) -> Batch:
        """In page-locked memory: what torch's loader asks of a type of our own."""
        return Batch(self.pixels.pin_memory(), self.extents.pin_memory(), self.labels.pin_memory())


@dataclass(frozen=True, slots=True)
class Sources:
    """What canvases are made of.

    photos: a folder of shards. masks: folders of true masks, each one source or several beside each other.
    true_share: how many canvases show pictures with true masks. mosaic_share: how many are mosaics.
    """

    photos: Path
    masks: tuple[Path, ...] = ()
    true_share: float = 0.0
    mosaic_share: float = 0.5


class Canvases(IterableDataset[Canvas]):
    """Endless. The same seed draws the same canvases; each process, rank and start of a run draws others."""

    def __init__(self, sources: Sources, seed: tuple[int, ...]) -> None:
        self.sources, self.seed = sources, seed
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
                return varied(random, Picture(photographs[random.integers(len(photographs))].open()))
            samples = self.by_source[random.choice(len(shares), p=shares)]
            return varied(random, opened(samples[random.integers(len(samples))]))

        if random.random() < self.sources.mosaic_share:
            return mosaic(random, (picture(), picture(), picture(), picture()))
        return whole(picture())


def held_out(sample: Sample) -> bool:
    """Whether a picture with true masks is kept for validation: one in sixteen, by its name alone."""
    return sum(sample.image.name.encode()) % 16 == 0


def trained_on(folder: Path) -> list[Sample]:
    return [sample for sample in samples_of(folder) if sample.objects and not held_out(sample)]


def opened(sample: Sample) -> Picture:
    with Image.open(sample.mask) as labels:
        return Picture(Image.fromarray(sample.pixels()), labels.copy())


def batches(canvases: Canvases, size: int, workers: int, pin: bool) -> Iterator[Batch]:
    """Batches without end. pin: page-locked memory, for a GPU."""
    loader: DataLoader[Canvas] = DataLoader(
        canvases,
        size,
        num_workers=workers,
        collate_fn=collated,
        pin_memory=pin,
        prefetch_factor=3 if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_on_its_own,
    )
    return iter(loader)


def _on_its_own(_worker: int) -> None:
    """Ctrl-C and a SIGTERM to the whole group reach the run alone: it saves first, and then ends its processes."""
    os.setsid()


def collated(canvases: list[Canvas]) -> Batch:
    return Batch(
        torch.from_numpy(np.stack([canvas.pixels for canvas in canvases])).permute(0, 3, 1, 2),
        torch.tensor([canvas.extent for canvas in canvases]),
        torch.from_numpy(np.stack([canvas.labels for canvas in canvases])),
    )
