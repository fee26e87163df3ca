"""Stage 1: the encoder learns to make the teacher's embeddings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor
from torch.autograd import backward

from backend.learning.devices import Place, tuned
from backend.learning.loader import Batch
from backend.learning.losses import embedding_loss, unexplained
from backend.learning.networks import EMBEDDING_STRIDE, normalised, share_of_canvas
from backend.learning.training import Step
from backend.segmentation.model import SegmentationModel
from backend.segmentation.preprocess import SIDE

QUARTER = SIDE // 2
FRESH_SHARE = 1 / 3
"""On a CPU the teacher costs more than a step of the student: so many steps add new canvases, while all of them learn
from those that are kept."""
ROOM = 3000
"""Canvases kept, 2.5 MB each; a new one then takes the place of a random old one."""


def encoder_step(
    student: SegmentationModel,
    teacher: SegmentationModel,
    batches: Iterator[Batch],
    place: Place,
    kept: KeptEmbeddings | None,
    learn_norms: bool,
) -> Step:
    """One batch of canvases: fresh ones, or with `kept` such as were kept.

    learn_norms: for an encoder that begins at random; with `kept` it sees quarters of four times as many canvases at
    the same cost, which steadies the norms. Otherwise their statistics stay, a step takes half as long, and canvases
    are whole: quarters teach an encoder quarters (docs/training.md).
    """
    student.image_encoder.train(learn_norms)
    number = 0

    def step() -> tuple[float, dict[str, float]]:
        nonlocal number
        number += 1
        pixels, extents, target = _fresh(kept) if kept is None or kept.wants_more(number) else _again(kept)
        canvas, inside = normalised(pixels, extents, place.device)
        with tuned():
            with place.autocast():
                made = student.image_encoder(canvas).float()
            backward(embedding_loss(made, target, inside))
        cosine = (F.cosine_similarity(made.detach(), target, dim=1)[:, None] * inside).sum() / inside.sum()
        share = unexplained(made.detach(), target, inside)
        return share_of_canvas(pixels), {"unexplained": share.item(), "cosine": cosine.item()}

    def _fresh(kept: KeptEmbeddings | None) -> tuple[Tensor, Tensor, Tensor]:
        batch = next(batches)
        canvas, _ = normalised(batch.pixels, batch.extents, place.device)
        with tuned(), torch.no_grad(), place.autocast():
            target = teacher.image_encoder(canvas).float()
        if kept is None:
            return batch.pixels, batch.extents, target
        kept.add(batch, target)
        return _again(kept)

    def _again(kept: KeptEmbeddings) -> tuple[Tensor, Tensor, Tensor]:
        number, side = (4 * kept.batch, QUARTER) if learn_norms else (kept.batch, SIDE)
        pixels, extents, target = kept.draw(number, side)
        return pixels, extents, target.to(place.device)

    return step


class KeptEmbeddings:
    """Canvases and the teacher's embeddings of them, on disk, to be looked at many times."""

    def __init__(self, folder: Path, batch: int, random: np.random.Generator) -> None:
        self.folder, self.batch, self.random = folder, batch, random
        folder.mkdir(parents=True, exist_ok=True)
        self.count = len(list(folder.glob("*.pt")))

    def wants_more(self, step: int) -> bool:
        return self.count < 8 * self.batch or step % round(1 / FRESH_SHARE) == 0

    def add(self, batch: Batch, target: Tensor) -> None:
        for pixels, extent, embedding in zip(batch.pixels.cpu(), batch.extents.cpu(), target, strict=True):
            jpeg = io.BytesIO()
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(jpeg, "JPEG", quality=95)
            number = self.count if self.count < ROOM else int(self.random.integers(ROOM))
            self.count = max(self.count, number + 1)
            one = {"jpeg": jpeg.getvalue(), "extent": extent, "embedding": embedding.half().cpu()}
            part = self.folder / "next.part"
            torch.save(one, part)
            part.replace(self.folder / f"{number:06d}.pt")

    def draw(self, number: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Parts of side x side pixels of random canvases: uint8 N x 3 x side x side, the extent of the picture on
        each, and the embedding N x 256 x side/16 x side/16."""
        pixels, extents, targets = zip(*(self._part(side) for _ in range(number)), strict=True)
        return torch.stack(pixels), torch.stack(extents), torch.stack(targets)

    def _part(self, side: int) -> tuple[Tensor, Tensor, Tensor]:
        kept = torch.load(self.folder / f"{int(self.random.integers(self.count)):06d}.pt", weights_only=True)
        stride = EMBEDDING_STRIDE
        free = [max(0, (int(extent) - side) // stride) for extent in kept["extent"]]
        top, left = (stride * int(self.random.integers(steps + 1)) for steps in free)
        pixels = np.asarray(Image.open(io.BytesIO(kept["jpeg"])))[top : top + side, left : left + side]
        rows, columns = (slice(start // stride, (start + side) // stride) for start in (top, left))
        extent = (kept["extent"] - torch.tensor((top, left))).clamp(max=side)
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1), extent, kept["embedding"][:, rows, columns].float()
