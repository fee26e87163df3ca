"""SAM's decoder with a fixed number of token slots, for engines that compile a graph for its shapes.

The arithmetic is that of segment_anything's PromptEncoder, TwoWayTransformer and MaskDecoder with their own weights, in
an order in which the image, by far the largest thing, is passed over as rarely as possible. Slots beyond the prompt are
ABSENT: attention never looks at them, so that the masks are those of the prompt alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.segmentation.engines import ABSENT
from backend.segmentation.model import GRID, Decoder, SegmentationModel

OUT_OF_SIGHT = -1e4
"""Added to the attention to an ABSENT slot: its weight is zero, in bfloat16 too."""


@dataclass(frozen=True)
class Places:
    """The image as P places: raw (1 or B) x P x 256, of which the decoder means raw * gain + shift.

    That is never computed: gain (256, None for 1) and shift (1 x 256) go into what the image is multiplied with.
    """

    raw: Tensor
    gain: Tensor | None
    shift: Tensor

    def scaled(self, x: Tensor) -> Tensor:
        return x if self.gain is None else x * self.gain


class SlottedDecoder(nn.Module):
    """B prompts in S slots on one embedding -> logits B x masks x 256 x 256 of the first of SAM's four masks, and the
    predicted IoUs of all four, B x 4.

    places: (1 or B) x 4096 x 256, the embedding with channels last. Other inputs as `Decoder`'s with N = S; all prompts
    are ABSENT in the same slots. Without low_res, as a graph of its own, for the first round of a prompt: nothing is
    convolved for nothing.

    narrow: products over the image in bfloat16, everything between them in float32. All in bfloat16 is not exact enough
    to serve (docs/benchmark.md).
    """

    def __init__(self, model: SegmentationModel, masks: int, narrow: bool = False) -> None:
        super().__init__()
        self.plain, self.heads = Decoder(model), model.mask_decoder
        self.masks, self.narrow = masks, narrow
        positions = self.plain.positions.flatten(2).transpose(1, 2).contiguous()
        self.positions = nn.Parameter(positions, requires_grad=False)

    def forward(
        self,
        places: Tensor,
        coordinates: Tensor,
        labels: Tensor,
        low_res: Tensor | None = None,
        has_low_res: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        asked = self.plain.tokens(coordinates, labels.clamp(min=-1))
        own = torch.cat([self.heads.iou_token.weight, self.heads.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(labels), -1, -1), asked], dim=1)
        hidden = F.pad((labels[:1] == ABSENT).to(tokens.dtype), (len(own), 0)) * OUT_OF_SIGHT
        image = self._with_mask(places.to(self.positions.dtype), low_res, has_low_res)
        tokens, image = self._transformed(tokens, image, hidden[:, None, :])
        return self._masks(tokens, image), self.heads.iou_prediction_head(tokens[:, 0])

    def _with_mask(self, places: Tensor, low_res: Tensor | None, has_low_res: Tensor | None) -> Places:
        """`Decoder.dense` added; the last 1x1 convolution is a product over places."""
        nothing: Tensor = self.plain.prompt_encoder.no_mask_embed.weight
        if low_res is None or has_low_res is None:
            return Places(places, None, nothing)
        *convolutions, last = self.plain.prompt_encoder.mask_downscaling
        for layer in convolutions:
            low_res = layer(low_res)
        wide = F.linear(low_res.flatten(2).transpose(1, 2), last.weight.flatten(1), last.bias)
        return Places(places + wide * has_low_res, None, nothing * (1 - has_low_res))

    def _transformed(self, tokens: Tensor, image: Places, hidden: Tensor) -> tuple[Tensor, Places]:
        """TwoWayTransformer: tokens B x T x 256 and the image attend to each other."""
        asked = tokens
        for layer in self.heads.transformer.layers:
            if layer.skip_first_layer_pe:
                tokens = attended(layer.self_attn, tokens, tokens, tokens, hidden)
            else:
                placed = tokens + asked
                tokens = tokens + attended(layer.self_attn, placed, placed, tokens, hidden)
            tokens = layer.norm1(tokens)
            tokens = layer.norm2(tokens + self._tokens_to_image(layer.cross_attn_token_to_image, tokens + asked, image))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            given = self._image_to_tokens(layer.cross_attn_image_to_token, image, tokens + asked, tokens, hidden)
            norm = layer.norm4
            raw = F.layer_norm(image.scaled(image.raw) + image.shift + given, norm.weight.shape, eps=norm.eps)
            image = Places(raw, norm.weight, norm.bias[None])
        last = self.heads.transformer.final_attn_token_to_image
        tokens = tokens + self._tokens_to_image(last, tokens + asked, image)
        return self.heads.transformer.norm_final_attn(tokens), image

    def _tokens_to_image(self, attention: Any, query: Tensor, image: Places) -> Tensor:
        """segment_anything's Attention of T tokens to P places, with its products in another order: B x T x 256.

        (q Wk^T) k^T is q (k Wk)^T, and (a v) Wv is a (v Wv): the image is multiplied once with a few rows per token
        instead of being projected. Its positions are known, and their projection with them. What moves all places alike
        (a bias of the keys, the image's shift) softmax does not see.
        """
        queries = _by_head(attention, attention.q_proj(query)) * _scale(attention)
        asked = image.scaled(queries @ _weights_by_head(attention, attention.k_proj))
        scores = self._product(asked.flatten(1, 2), image.raw.transpose(1, 2)).reshape(*asked.shape[:3], -1)
        weights = (scores + queries @ self._positions_by_head(attention, attention.k_proj)).softmax(-1)
        mixed = self._product(weights.flatten(1, 2), image.raw).reshape(asked.shape)
        mixed = image.scaled(mixed) + image.shift
        seen = (mixed @ _weights_by_head(attention, attention.v_proj).transpose(1, 2)).transpose(1, 2).flatten(2)
        out: Tensor = attention.out_proj(seen + attention.v_proj.bias)
        return out

    def _image_to_tokens(self, attention: Any, image: Places, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
        """segment_anything's Attention of P places to T tokens, likewise: B x P x 256.

        Scores are B x heads x T x P: softmax over the few tokens is fast where the many places are the last dimension.
        """
        keys, values = _by_head(attention, attention.k_proj(key)), _by_head(attention, attention.v_proj(value))
        keys = keys * _scale(attention)
        asked = keys @ _weights_by_head(attention, attention.q_proj)
        bias = (keys * attention.q_proj.bias.reshape(1, attention.num_heads, 1, -1)).sum(-1) + hidden
        bias = bias + (asked * image.shift).sum(-1)
        asked = image.scaled(asked)
        scores = self._product(asked.flatten(1, 2), image.raw.transpose(1, 2)).reshape(*asked.shape[:3], -1)
        scores = scores + keys @ self._positions_by_head(attention, attention.q_proj) + bias[..., None]
        projection = attention.out_proj.weight.reshape(-1, attention.num_heads, values.shape[-1]).permute(1, 2, 0)
        given = (values @ projection).flatten(1, 2)
        out: Tensor = self._product(scores.softmax(2).flatten(1, 2).transpose(1, 2), given) + attention.out_proj.bias
        return out

    def _positions_by_head(self, attention: Any, projection: nn.Linear) -> Tensor:
        """The projection of where places are, without bias: 1 x heads x d x P. Constant where weights are."""
        return _by_head(attention, self.positions @ projection.weight.T).transpose(2, 3)

    def _masks(self, tokens: Tensor, image: Places) -> Tensor:
        """MaskDecoder.predict_masks behind the transformer.

        A transposed convolution whose windows do not overlap is a product over places: channels stay the last
        dimension, and pixels find their places at the end, when there are masks instead of 32 channels.
        """
        first, norm, _, second, _ = self.heads.output_upscaling
        weight = doubling_weight(first)
        bias = first.bias.repeat(4) + image.shift @ weight.T
        doubled = self._product(image.raw, image.scaled(weight).T) + bias
        doubled = doubled.reshape(len(image.raw), -1, first.out_channels)
        doubled = F.layer_norm(doubled, norm.weight.shape, norm.weight, norm.bias, norm.eps)
        narrow = [self._narrow(x) for x in (F.gelu(doubled), doubling_weight(second), second.bias.repeat(4))]
        upscaled = F.gelu(F.linear(*narrow)).reshape(len(image.raw), -1, second.out_channels)
        mlps = self.heads.output_hypernetworks_mlps[: self.masks]
        mixes = torch.stack([mlp(tokens[:, 1 + index]) for index, mlp in enumerate(mlps)], dim=2)
        masks = (upscaled @ self._narrow(mixes)).to(mixes.dtype)  # B x (places, 2 x 2, 2 x 2) x masks
        by_place = masks.reshape(-1, GRID, GRID, 2, 2, 2, 2, self.masks)  # row, column, then twice a row and a column
        return by_place.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(-1, self.masks, 4 * GRID, 4 * GRID)

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        return (self._narrow(a) @ self._narrow(b)).to(a.dtype)

    def _narrow(self, x: Tensor) -> Tensor:
        return x.bfloat16() if self.narrow else x


def doubling_weight(convolution: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution of stride 2 with windows of 2 x 2, as a product over places: (2, 2, D) x C."""
    return convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)


def attended(attention: Any, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
    """segment_anything's Attention among T tokens, with a bias: B x T x 256 -> B x T x 256."""
    queries, keys, values = (
        _by_head(attention, projection(x))
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    seen = (queries @ keys.transpose(-1, -2) * _scale(attention) + hidden).softmax(-1) @ values
    out: Tensor = attention.out_proj(seen.transpose(1, 2).flatten(2))
    return out


def _by_head(attention: Any, x: Tensor) -> Tensor:
    """B x N x (heads * d) -> B x heads x N x d."""
    return x.reshape(len(x), x.shape[1], attention.num_heads, -1).transpose(1, 2)


def _weights_by_head(attention: Any, projection: nn.Linear) -> Tensor:
    """A projection's weights, heads x d x 256."""
    return projection.weight.reshape(attention.num_heads, -1, projection.in_features)


def _scale(attention: Any) -> float:
    return float((attention.internal_dim // attention.num_heads) ** -0.5)
