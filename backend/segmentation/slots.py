"""SAM's decoder with a fixed number of token slots, for engines that compile a graph for its shapes.

The arithmetic is that of segment_anything's PromptEncoder, TwoWayTransformer and MaskDecoder with their own weights.
Slots beyond the prompt are ABSENT: attention never looks at them, so that the masks are those of the prompt alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.segmentation.engines import ABSENT
from backend.segmentation.model import GRID, Decoder, SegmentationModel

OUT_OF_SIGHT = -1e4
"""Added to the attention to an ABSENT slot: its weight is zero, in bfloat16 too."""


class SlottedDecoder(nn.Module):
    """One prompt in S slots on one embedding -> masks. Shapes as `Decoder`'s with B = 1 and N = S."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.plain = Decoder(model)
        self.heads = model.mask_decoder
        self.own_tokens = nn.Parameter(
            torch.cat([model.mask_decoder.iou_token.weight, model.mask_decoder.mask_tokens.weight])
        )
        self.positions = nn.Parameter(self.plain.positions.flatten(2).transpose(1, 2).contiguous())

    def forward(
        self, embedding: Tensor, coordinates: Tensor, labels: Tensor, low_res: Tensor, has_low_res: Tensor
    ) -> tuple[Tensor, Tensor]:
        asked = self.plain.tokens(coordinates, labels.clamp(min=-1))
        tokens = torch.cat([self.own_tokens[None], asked], dim=1)
        hidden = F.pad((labels == ABSENT).to(tokens.dtype), (len(self.own_tokens), 0)) * OUT_OF_SIGHT
        image = (embedding + self.plain.dense(low_res, has_low_res)).flatten(2).transpose(1, 2)
        tokens, image = self._transformed(tokens, image, hidden[:, None, None, :])
        return self._masks(tokens, image)

    def _transformed(self, tokens: Tensor, image: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """TwoWayTransformer: tokens 1 x T x 256 and image 1 x 4096 x 256 attend to each other."""
        asked = tokens
        for layer in self.heads.transformer.layers:
            if layer.skip_first_layer_pe:
                tokens = attended(layer.self_attn, tokens, tokens, tokens, hidden)
            else:
                placed = tokens + asked
                tokens = tokens + attended(layer.self_attn, placed, placed, tokens, hidden)
            tokens = layer.norm1(tokens)
            placed_image = image + self.positions
            tokens = tokens + attended(layer.cross_attn_token_to_image, tokens + asked, placed_image, image)
            tokens = layer.norm2(tokens)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            image = image + attended(layer.cross_attn_image_to_token, placed_image, tokens + asked, tokens, hidden)
            image = layer.norm4(image)
        last = self.heads.transformer.final_attn_token_to_image
        tokens = tokens + attended(last, tokens + asked, image + self.positions, image)
        return self.heads.transformer.norm_final_attn(tokens), image

    def _masks(self, tokens: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """MaskDecoder.predict_masks behind the transformer."""
        count = self.heads.num_mask_tokens
        upscaled = self.heads.output_upscaling(image.transpose(1, 2).reshape(1, -1, GRID, GRID))
        mixes = [mlp(tokens[:, 1 + index]) for index, mlp in enumerate(self.heads.output_hypernetworks_mlps)]
        height, width = upscaled.shape[2:]
        masks = (torch.stack(mixes, dim=1) @ upscaled.flatten(2)).reshape(1, count, height, width)
        scores: Tensor = self.heads.iou_prediction_head(tokens[:, 0])
        return masks, scores


def attended(attention: Any, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None) -> Tensor:
    """segment_anything's Attention with a bias, in plain products: OpenVINO's CPU runs these faster than torch's
    scaled_dot_product_attention, which it takes for a language model's."""

    def by_head(projection: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        y = projection(x)
        return y.reshape(*y.shape[:2], heads, -1).transpose(1, 2)

    heads: int = attention.num_heads
    queries, keys, values = (
        by_head(attention.q_proj, query),
        by_head(attention.k_proj, key),
        by_head(attention.v_proj, value),
    )
    weights = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    if hidden is not None:
        weights = weights + hidden
    out: Tensor = attention.out_proj((weights.softmax(-1) @ values).transpose(1, 2).flatten(2))
    return out
