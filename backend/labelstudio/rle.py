"""Label Studio's brush RLE, both ways: a bit stream of runs over the bytes of a width x height RGBA picture.

The header holds the number of bytes (32 bits), the word size less one (5) and four run sizes less one (4 each). A block
is one bit that says run or literals, two that choose a run size, the length less one in so many bits, and one word (a
run) or as many words as the length says. This is thi.ng/rle-pack's format, which the page decodes; what `encode` writes
is byte for byte what `label_studio_sdk.converter.brush.mask2rle` writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CHANNELS = 4
WORD = 8
RUN_SIZES = (3, 4, 8, 16)
LONGEST = 1 << RUN_SIZES[-1]
SET = 255
HEADER_BITS = 32 + 5 + 4 * len(RUN_SIZES)
BLOCK_BYTES = 5
"""A block of 27 bits at most reaches into five bytes at most."""


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Bool height x width, at least one pixel -> the RLE, a list of bytes. Set pixels are 255 in all four channels."""
    blocks, widths = _blocks(mask)
    ends = HEADER_BITS + np.cumsum(widths)
    size = int(ends[-1]) // 8 + 1  # one byte more even where the last one is full, as the SDK does
    first = (ends - widths) // 8
    shifted = blocks << (8 * (first + BLOCK_BYTES) - ends)
    stream = np.zeros(size + BLOCK_BYTES, np.float64)
    for place in range(BLOCK_BYTES):  # no two blocks share a bit: adding is setting
        byte = shifted >> (8 * (BLOCK_BYTES - 1 - place)) & 255
        stream += np.bincount(first + place, byte, len(stream))
    header = mask.size * CHANNELS << 21 | (WORD - 1) << 16
    for place, bits in enumerate(RUN_SIZES):
        header |= (bits - 1) << (12 - 4 * place)
    stream[:7] += np.frombuffer((header << 3).to_bytes(7, "big"), np.uint8)
    values: list[int] = stream[:size].astype(np.uint8).tolist()
    return values


def _blocks(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One block per run, more where it is longer than a block can say: their bits, and how many bits each has."""
    starts = np.concatenate([[0], _changes(mask)])
    lengths = np.diff(starts, append=mask.size) * CHANNELS
    values = np.where(mask.reshape(-1)[starts], SET, 0)
    pieces = (lengths - 1) // LONGEST + 1
    long = np.repeat(lengths > LONGEST, pieces)
    left = lengths - (pieces - 1) * LONGEST
    lengths, values = np.full(len(long), LONGEST), np.repeat(values, pieces)
    lengths[np.cumsum(pieces) - 1] = left
    size = np.searchsorted([1 << bits for bits in RUN_SIZES], lengths)
    size[long] = len(RUN_SIZES) - 1  # the rest of a long run keeps the longest size
    bits = np.array(RUN_SIZES)[size]
    return ((4 | size) << bits | (lengths - 1)) << WORD | values, 3 + bits + WORD


def _changes(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where, row by row, the value is another than that of the pixel before. Only rows that hold any are looked at."""
    held = np.flatnonzero(mask.any(axis=1))
    if not len(held):
        return held
    first = max(0, held[0] - 1)  # the row before, and the one behind: what changes where they meet
    flat = mask[first : held[-1] + 2].reshape(-1)
    return np.asarray(np.flatnonzero(flat[1:] != flat[:-1]) + (first * mask.shape[1] + 1), np.int64)


def decode(rle: Sequence[int], width: int, height: int) -> NDArray[np.bool_]:
    """The RLE of a width x height region -> bool height x width: where its fourth channel is not 0.

    Raises ValueError where it is cut, is not such a stream, or is of another size.
    """
    data = bytes(rle)
    total = 8 * len(data)
    position = 0

    def read(bits: int) -> int:
        nonlocal position
        end = position + bits
        if end > total:
            raise ValueError(f"a brush RLE of {len(data)} bytes ends in the middle of a block")
        value = int.from_bytes(data[position >> 3 : (end + 7) >> 3], "big") >> (-end & 7)
        position = end
        return value & ((1 << bits) - 1)

    size = read(32)
    if size != width * height * CHANNELS:
        raise ValueError(f"a brush RLE of {size} values does not fit {width} x {height} x {CHANNELS}")
    if read(5) + 1 != WORD:
        raise ValueError(f"a brush RLE has words of {WORD} bits")
    run_sizes = [read(4) + 1 for _ in RUN_SIZES]
    out = np.zeros(size, np.uint8)
    done = 0
    while done < size:
        run, length = read(1), read(run_sizes[read(2)]) + 1
        if done + length > size:
            raise ValueError(f"a brush RLE has more than the {size} values that it announces")
        if run:
            out[done : done + length] = read(WORD)
        else:
            out[done : done + length] = np.frombuffer(read(WORD * length).to_bytes(length, "big"), np.uint8)
        done += length
    return np.asarray(out.reshape(height, width, CHANNELS)[:, :, 3] > 0, np.bool_)
