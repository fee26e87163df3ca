"""What runs a model: a small protocol. Arrays go in and out: nobody else needs to know torch or OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsError, WeightsFile

ABSENT, PADDING, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -2, -1, 2, 3
"""Token labels beside 0 and 1 of a click, as in SAM's prompt encoder; an ABSENT one is not there at all."""

Floats = NDArray[np.float32]

FEATURES = (4096, 256)
Features = NDArray[np.float16]
"""What an encoder makes, 4096 x 256: the places of its 64 x 64 grid, row by row, and their channels. Rounded from the
start, so that what was kept gives the masks that it gave when it was new; channels last, as decoders multiply them."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the encoder saw, and how the image lies on the canvas."""

    features: Features
    frame: Frame


class Engine(Protocol):
    """An encoder and a decoder, ready to run; safe to call from many threads at once."""

    @property
    def identity(self) -> str:
        """Changes whenever an embedding would: hash of the encoder's weights, the engine, its precision."""

    @property
    def version(self) -> str:
        """What answers name as model_version: the weights' name and the first digits of their hash."""

    @property
    def twice(self) -> bool:
        """Whether a box is answered twice, the second time with the first answer beside it.

        Decoders that were trained to better their own answers do (EdgeSAM's); MobileSAM's spoils them where the box is
        as people draw it. docs/quality.md has the figures.
        """

    def for_picture(self, embedding: Embedding) -> Engine:
        """The engine that answers on this picture, and on windows of it. embedding: of the whole picture, by this
        engine. One of another identity answers on embeddings of its own encoder (see predictor.seen)."""

    def encode(self, canvas: Floats) -> Features:
        """Canvas 1 x 3 x 1024 x 1024 -> the features of an embedding."""

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """B prompts of N tokens each on one embedding -> logits B x 256 x 256.

        coordinates: B x N x 2 in canvas pixels. labels: B x N of 0, 1 (clicks), 2, 3 (a box's corners), -1 (padding,
        which SAM wants once behind clicks without a box). low_res: B x 256 x 256, logits of the round before.
        SAM's single mask answers clicks and boxes alike; docs/quality.md has the figures that decided it.
        """


def require_encoder_of(base: Engine, encoder: str, weights: WeightsFile) -> None:
    """Raises WeightsError where `weights`, made for the encoder of this hash, were made for another than base's."""
    if not base.identity.startswith(f"{encoder}-"):
        raise WeightsError(
            f"{weights.path} was made for another encoder than that of {base.version}: fine-tune again, or set "
            "EDGESAM_WEIGHTS to the weights that it was made from"
        )
