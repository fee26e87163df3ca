"""MobileSAM as its own predictor runs it (segment_anything/predictor.py): eager torch, float32, nothing merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from backend.benchmark.peer import encodes_rle
from backend.segmentation.model import SegmentationModel, model_of
from backend.segmentation.preprocess import SIDE, Frame, canvas_of
from backend.segmentation.prompts import POSITIVE, Point
from backend.segmentation.weights import WeightsFile


@dataclass
class MobileSAM:
    """The model, and the image that it has seen last. rle: bytes of 0 and 255, height x width -> brush RLE, or None."""

    model: SegmentationModel
    rle: Callable[[NDArray[np.uint8]], list[int]] | None
    _path: Path | None = None
    _frame: Frame | None = None
    _embedding: Tensor | None = None

    @classmethod
    def of(cls, weights: WeightsFile) -> MobileSAM:
        """The model with these weights; brush RLE where Label Studio's SDK is installed."""
        if not encodes_rle():
            return cls(model_of(weights), None)
        from label_studio_sdk.converter import brush

        return cls(model_of(weights), brush.mask2rle)

    @torch.no_grad()
    def prediction(self, path: Path, point: Point) -> dict[str, Any]:
        """The answer to one click, in pixels of the image in `path`."""
        if path != self._path:
            read = cv2.imread(str(path))
            assert read is not None, f"OpenCV cannot read {path}"
            pixels = np.ascontiguousarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
            self._path, self._frame = path, Frame.of(pixels)
            self._embedding = self.model.image_encoder(torch.from_numpy(canvas_of(pixels, self._frame)))
        assert self._frame is not None
        logits, score = self._decoded(self._frame.to_canvas(point))
        mask = _at_full_size(logits, self._frame)
        rle = self.rle(mask.astype(np.uint8) * 255) if self.rle else []
        value = {"format": "rle", "rle": rle, "brushlabels": ["Thing"]}
        return {"results": [{"result": [{"value": value, "type": "brushlabels", "score": score}]}]}

    def _decoded(self, point: Point) -> tuple[Tensor, float]:
        """Logits 1 x 1 x 256 x 256 of SAM's single mask, and its predicted IoU."""
        sparse, dense = self.model.prompt_encoder(
            points=(torch.tensor([[point]]), torch.tensor([[POSITIVE]])), boxes=None, masks=None
        )
        logits, iou = self.model.mask_decoder(
            image_embeddings=self._embedding,
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits, float(iou)


def _at_full_size(logits: Tensor, frame: Frame) -> NDArray[np.bool_]:
    """Logits 1 x 1 x 256 x 256 -> bool height x width, all of it computed, as `Sam.postprocess_masks` does."""
    width, height = frame.scaled
    canvas = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)[..., :height, :width]
    image = F.interpolate(canvas, (frame.height, frame.width), mode="bilinear", align_corners=False)
    mask: NDArray[np.bool_] = (image > 0)[0, 0].numpy()
    return mask
