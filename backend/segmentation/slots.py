"""SAM's decoder with a fixed number of token slots, for engines that compile a graph for its shapes.

The arithmetic is that of segment_anything's PromptEncoder, TwoWayTransformer and MaskDecoder with their own weights.
Slots beyond the prompt are ABSENT: attention never looks at them, so that the masks are those of the prompt alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.segmentation.engines import ABSENT
from backend.segmentation.model import GRID, Decoder, SegmentationModel

OUT_OF_SIGHT = -1e4
"""Added to the attention to an ABSENT slot: its weight is zero, in bfloat16 too."""


class SlottedTransformer(nn.Module):
    """One prompt in S slots on one embedding -> what SAM's transformer makes of both: the decoder's five own tokens
    1 x 5 x 256 and image 1 x 4096 x 256. Inputs as `Decoder`'s with B = 1 and N = S."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.plain = Decoder(model)
        self.heads = model.mask_decoder
        self.own_tokens = nn.Parameter(
            torch.cat([model.mask_decoder.iou_token.weight, model.mask_decoder.mask_tokens.weight])
        )
        self.positions = nn.Parameter(self.plain.positions.flatten(2).transpose(1, 2).contiguous())

    def forward(
        self,
        embedding: Tensor,
        coordinates: Tensor,
        labels: Tensor,
        low_res: Tensor | None = None,
        has_low_res: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Without low_res, as a graph of its own, for the first round of a prompt: nothing is convolved for nothing."""
        asked = self.plain.tokens(coordinates, labels.clamp(min=-1))
        tokens = torch.cat([self.own_tokens[None], asked], dim=1)
        hidden = F.pad((labels == ABSENT).to(tokens.dtype), (len(self.own_tokens), 0)) * OUT_OF_SIGHT
        image = embedding.flatten(2).transpose(1, 2) + self._dense(low_res, has_low_res)
        return self._transformed(tokens, image, hidden[:, None, :])

    def _dense(self, low_res: Tensor | None, has_low_res: Tensor | None) -> Tensor:
        """`Decoder.dense` as 1 x 4096 x 256; the last 1x1 convolution is a product over places."""
        nothing: Tensor = self.plain.prompt_encoder.no_mask_embed.weight
        if low_res is None or has_low_res is None:
            return nothing
        *convolutions, last = self.plain.prompt_encoder.mask_downscaling
        narrow = low_res
        for layer in convolutions:
            narrow = layer(narrow)
        wide = F.linear(narrow.flatten(2).transpose(1, 2), last.weight.flatten(1), last.bias)
        dense: Tensor = wide * has_low_res + nothing * (1 - has_low_res)
        return dense

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
            tokens = tokens + tokens_to_image(layer.cross_attn_token_to_image, tokens + asked, placed_image, image)
            tokens = layer.norm2(tokens)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            given = image_to_tokens(layer.cross_attn_image_to_token, placed_image, tokens + asked, tokens, hidden)
            image = layer.norm4(image + given)
        last = self.heads.transformer.final_attn_token_to_image
        tokens = tokens + tokens_to_image(last, tokens + asked, image + self.positions, image)
        tokens = self.heads.transformer.norm_final_attn(tokens)
        return tokens[:, : len(self.own_tokens)], image


class MaskHeads(nn.Module):
    """MaskDecoder.predict_masks behind the transformer: its tokens and image -> logits and IoUs, as `Decoder`'s."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.heads = model.mask_decoder

    def forward(self, tokens: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        count = self.heads.num_mask_tokens
        upscaled = self.heads.output_upscaling(image.transpose(1, 2).reshape(1, -1, GRID, GRID))
        mixes = [mlp(tokens[:, 1 + index]) for index, mlp in enumerate(self.heads.output_hypernetworks_mlps)]
        height, width = upscaled.shape[2:]
        masks = upscaled.permute(0, 2, 3, 1).flatten(1, 2) @ torch.stack(mixes, dim=1).transpose(1, 2)
        scores: Tensor = self.heads.iou_prediction_head(tokens[:, 0])
        return masks.transpose(1, 2).reshape(1, count, height, width), scores


def attended(attention: Any, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
    """segment_anything's Attention among T tokens, with a bias: 1 x T x 256 -> 1 x T x 256."""
    queries, keys, values = (
        _by_head(attention, projection(x))
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    seen = (queries @ keys.transpose(-1, -2) * _scale(queries) + hidden).softmax(-1) @ values
    out: Tensor = attention.out_proj(seen.transpose(1, 2).flatten(2))
    return out


def tokens_to_image(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """segment_anything's Attention of T tokens to the P places of an image, with its products in another order.

    query: 1 x T x 256. key, value: 1 x P x 256. (q Wk^T) k^T is q (k Wk)^T, and (a v) Wv is a (v Wv): the image, by far
    the larger side, is multiplied once with a few rows per token instead of being projected. A bias of the keys moves
    all places alike, which softmax does not see.
    """
    queries = _by_head(attention, attention.q_proj(query))
    asked = queries @ _weights_by_head(attention, attention.k_proj) * _scale(queries)
    weights = (asked.flatten(1, 2) @ key.transpose(1, 2)).softmax(-1)
    mixed = (value.transpose(1, 2) @ weights.transpose(1, 2)).transpose(1, 2).reshape(asked.shape)
    seen = (mixed @ _weights_by_head(attention, attention.v_proj).transpose(1, 2)).transpose(1, 2).flatten(2)
    out: Tensor = attention.out_proj(seen + attention.v_proj.bias)
    return out


def image_to_tokens(attention: Any, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
    """segment_anything's Attention of the P places of an image to T tokens, likewise: 1 x P x 256 -> 1 x P x 256."""
    keys, values = _by_head(attention, attention.k_proj(key)), _by_head(attention, attention.v_proj(value))
    asked = keys @ _weights_by_head(attention, attention.q_proj) * _scale(keys)
    bias = (keys * attention.q_proj.bias.reshape(1, attention.num_heads, 1, -1)).sum(-1) * _scale(keys) + hidden
    scores = query @ asked.flatten(1, 2).transpose(1, 2) + bias.flatten(1)
    seen = scores.reshape(1, -1, *asked.shape[1:3]).softmax(-1).flatten(2)
    projection = attention.out_proj.weight.reshape(-1, attention.num_heads, values.shape[-1]).transpose(0, 1)
    given = (projection @ values.transpose(-1, -2)).transpose(1, 2).flatten(2)  # 1 x 256 x (heads * T)
    out: Tensor = seen @ given.transpose(1, 2) + attention.out_proj.bias
    return out


def _by_head(attention: Any, x: Tensor) -> Tensor:
    """1 x N x (heads * d) -> 1 x heads x N x d."""
    return x.reshape(1, x.shape[1], attention.num_heads, -1).transpose(1, 2)


def _weights_by_head(attention: Any, projection: nn.Linear) -> Tensor:
    """A projection's weights, heads x d x 256."""
    return projection.weight.reshape(attention.num_heads, -1, projection.in_features)


def _scale(by_head: Tensor) -> float:
    return float(by_head.shape[-1] ** -0.5)
