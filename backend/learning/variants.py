"""Other ways to answer, to measure against the way that was chosen (docs/quality.md): an engine around an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engine_torch import TorchEngine
from backend.segmentation.engines import BOX_TOP_LEFT, Embedding, Features, Floats
from backend.segmentation.model import SINGLE_MASK
from backend.segmentation.selection import stability_score

Rule = Literal["single", "stability", "predicted"]
"""Which mask answers a single click: SAM's single mask, or of the other three the most stable, or the one with the
highest predicted IoU."""


@dataclass(frozen=True, slots=True)
class Variant:
    """An engine that chooses by another rule, or answers all clicks at once instead of replaying them."""

    engine: TorchEngine
    rule: Rule = "single"
    replay: bool = True

    @property
    def identity(self) -> str:
        return self.engine.identity

    @property
    def version(self) -> str:
        return self.engine.version

    @property
    def twice(self) -> bool:
        return self.engine.twice

    def for_picture(self, _embedding: Embedding) -> Variant:
        """This one."""
        return self

    def encode(self, canvas: Floats) -> Features:
        return self.engine.encode(canvas)

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """As Engine.decode, with the chosen mask."""
        logits, ious = self.engine.all_masks(embedding, coordinates, labels, low_res if self.replay else None)
        if self.rule == "single" or labels.shape[1] != 2 or (labels == BOX_TOP_LEFT).any():
            return logits[:, SINGLE_MASK]
        chosen = []
        for one, predicted in zip(logits, ious, strict=True):
            scores = predicted[1:] if self.rule == "predicted" else [stability_score(mask) for mask in one[1:]]
            chosen.append(one[1 + int(np.argmax(scores))])
        return np.stack(chosen)
