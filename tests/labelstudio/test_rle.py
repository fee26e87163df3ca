"""Brush RLE against Label Studio's own SDK."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from backend.labelstudio import rle


def theirs(mask):
    return mask2rle(mask.astype(np.uint8) * 255)


def disc(height, width, share=0.3):
    y, x = np.ogrid[:height, :width]
    return (x - width / 2) ** 2 + (y - height / 2) ** 2 < (share * min(width, height)) ** 2


def ring(height, width):
    return disc(height, width, 0.3) & ~disc(height, width, 0.29)


CASES = {
    "empty": np.zeros((534, 800), bool),
    "full": np.ones((534, 800), bool),
    "full, longer than one block": np.ones((300, 301), bool),
    "one pixel": np.ones((1, 1), bool),
    "disc": disc(534, 800),
    "thin": ring(534, 800),
    "noise": np.random.default_rng(0).random((97, 101)) > 0.5,
    "specks": np.random.default_rng(1).random((200, 300)) > 0.99,
    "row": np.arange(3000)[None] % 700 > 300,
    "column": np.arange(3000)[:, None] % 700 > 300,
    "exactly one longest block": np.repeat([True, False], 1 << 14)[None],
    "one pixel over the longest block": np.repeat([True, False, True], [(1 << 14) + 1, 1, 1 << 15])[None],
    **{f"runs of {n} pixels": np.arange(64 * n)[None] // n % 2 == 0 for n in (1, 2, 3, 4, 5, 64, 65)},
}


@pytest.mark.parametrize("name", CASES)
def test_encodes_byte_for_byte_as_the_sdk_does(name):
    assert rle.encode(CASES[name]) == theirs(CASES[name])


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_encodes_any_mask_as_the_sdk_does(mask):
    assert rle.encode(mask) == theirs(mask)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40_000)), min_size=1, max_size=6))
def test_encodes_any_runs_as_the_sdk_does(runs):
    mask = np.concatenate([np.full(length, value) for value, length in runs])[None]
    assert rle.encode(mask) == theirs(mask)


@pytest.mark.parametrize("name", CASES)
def test_decodes_what_it_encodes(name):
    mask = CASES[name]
    assert np.array_equal(rle.decode(rle.encode(mask), mask.shape[1], mask.shape[0]), mask)


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(4))))
def test_decodes_literals_and_any_bytes_as_the_sdk_does(picture):
    stream = encode_rle(picture.ravel())
    expected = decode_rle(stream).reshape(picture.shape)[:, :, 3] > 0
    assert np.array_equal(rle.decode(stream, picture.shape[1], picture.shape[0]), expected)


def test_decodes_a_block_of_several_literals():
    bits = f"{8:032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    bits += "0" + "00" + f"{7:03b}" + "".join(f"{value:08b}" for value in (1, 2, 3, 0, 5, 6, 7, 8))
    stream = [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]
    assert rle.decode(stream, 2, 1).tolist() == [[False, True]]


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_bytes_that_are_no_rle_are_refused(stream, width, height):
    header = [*math.prod((width, height, 4)).to_bytes(4, "big"), *stream]
    for candidate in (stream, header):
        try:
            mask = rle.decode(candidate, width, height)
        except ValueError:
            continue
        assert mask.shape == (height, width)


def test_an_rle_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"8544 values does not fit 800 x 534 x 4|does not fit"):
        rle.decode(rle.encode(disc(533, 800)), 800, 534)
