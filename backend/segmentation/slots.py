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
    """B prompts in S slots on one embedding -> what SAM's transformer makes of both: the decoder's five own tokens
    B x 5 x 256 and image B x 4096 x 256. Inputs as `Decoder`'s with N = S; all prompts are ABSENT in the same slots."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.plain = Decoder(model)
        self.heads = model.mask_decoder
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
        own = torch.cat([self.heads.iou_token.weight, self.heads.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(labels), -1, -1), asked], dim=1)
        hidden = F.pad((labels[:1] == ABSENT).to(tokens.dtype), (len(own), 0)) * OUT_OF_SIGHT
        image = embedding.flatten(2).transpose(1, 2) + self._dense(low_res, has_low_res)
        return self._transformed(tokens, image, hidden[:, None, :])

    def _dense(self, low_res: Tensor | None, has_low_res: Tensor | None) -> Tensor:
        """`Decoder.dense` as B x 4096 x 256; the last 1x1 convolution is a product over places."""
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
        """TwoWayTransformer: tokens B x T x 256 and image (1 or B) x 4096 x 256 attend to each other."""
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
        return tokens[:, : 1 + self.heads.num_mask_tokens], image


class MaskHeads(nn.Module):
    """MaskDecoder.predict_masks behind the transformer: its tokens and image -> logits and IoUs, as `Decoder`'s.

    A transposed convolution whose windows do not overlap is a product over places: channels stay the last dimension,
    and pixels find their places at the end, when there are four masks instead of 32 channels.
    """

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.heads = model.mask_decoder

    def forward(self, tokens: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        first, norm, _, second, _ = self.heads.output_upscaling
        doubled = F.layer_norm(doubled_places(first, image), norm.weight.shape, norm.weight, norm.bias, norm.eps)
        upscaled = F.gelu(doubled_places(second, F.gelu(doubled)))  # B x (places, 2 x 2, 2 x 2) x 32
        mixes = [mlp(tokens[:, 1 + index]) for index, mlp in enumerate(self.heads.output_hypernetworks_mlps)]
        masks = upscaled @ torch.stack(mixes, dim=2)
        count = self.heads.num_mask_tokens
        by_place = masks.reshape(-1, GRID, GRID, 2, 2, 2, 2, count)  # row, column, then twice a row and a column within
        logits = by_place.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(-1, count, 4 * GRID, 4 * GRID)
        scores: Tensor = self.heads.iou_prediction_head(tokens[:, 0])
        return logits, scores


def doubled_places(convolution: nn.ConvTranspose2d, image: Tensor) -> Tensor:
    """A transposed convolution of stride 2 with windows of 2 x 2: B x P x C -> B x (P, 2 x 2) x D."""
    assert convolution.bias is not None
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)  # C x D x 2 x 2 -> (2, 2, D) x C
    made = F.linear(image, weight, convolution.bias.repeat(4))
    return made.reshape(len(image), -1, convolution.out_channels)


def attended(attention: Any, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
    """segment_anything's Attention among T tokens, with a bias: B x T x 256 -> B x T x 256."""
    queries, keys, values = (
        _by_head(attention, projection(x))
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    seen = (queries @ keys.transpose(-1, -2) * _scale(queries) + hidden).softmax(-1) @ values
    out: Tensor = attention.out_proj(seen.transpose(1, 2).flatten(2))
    return out


def tokens_to_image(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """segment_anything's Attention of T tokens to the P places of an image, with its products in another order.

    query: B x T x 256. key, value: B x P x 256. (q Wk^T) k^T is q (k Wk)^T, and (a v) Wv is a (v Wv): the image, by far
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
    """segment_anything's Attention of the P places of an image to T tokens, likewise: B x P x 256 -> B x P x 256."""
    keys, values = _by_head(attention, attention.k_proj(key)), _by_head(attention, attention.v_proj(value))
    asked = keys @ _weights_by_head(attention, attention.q_proj) * _scale(keys)
    bias = (keys * attention.q_proj.bias.reshape(1, attention.num_heads, 1, -1)).sum(-1) * _scale(keys) + hidden
    scores = query @ asked.flatten(1, 2).transpose(1, 2) + bias.flatten(1)[:, None]
    seen = scores.reshape(len(asked), -1, *asked.shape[1:3]).softmax(-1).flatten(2)
    projection = attention.out_proj.weight.reshape(-1, attention.num_heads, values.shape[-1]).transpose(0, 1)
    given = (projection @ values.transpose(-1, -2)).transpose(1, 2).flatten(2)  # B x 256 x (heads * T)
    out: Tensor = seen @ given.transpose(1, 2) + attention.out_proj.bias
    return out


def _by_head(attention: Any, x: Tensor) -> Tensor:
    """B x N x (heads * d) -> B x heads x N x d."""
    return x.reshape(len(x), x.shape[1], attention.num_heads, -1).transpose(1, 2)


def _weights_by_head(attention: Any, projection: nn.Linear) -> Tensor:
    """A projection's weights, heads x d x 256."""
    return projection.weight.reshape(attention.num_heads, -1, projection.in_features)


def _scale(by_head: Tensor) -> float:
    return float(by_head.shape[-1] ** -0.5)
