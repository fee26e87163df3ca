"""Image files of all kinds become the pixels that the page shows."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from backend.labelstudio.pixels import FORMATS
from backend.labelstudio.pixels import pixels_of as decoded
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.preprocess import STD, Frame, canvas_of
from backend.segmentation.windows import Window
from tests.labelstudio.standins import picture

LIMIT = 1_000_000
PHOTOS = Path(__file__).parents[1] / "photos"


def pixels_of(data, limit):
    """The pixels of an image that is decoded whole."""
    pixels, frame = decoded(data, limit)
    assert frame == Frame.of(pixels)
    return pixels


def saved(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def gradient(width=40, height=30):
    """Red grows to the right, green downwards."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 8, np.full_like(x, 60)], -1).astype(np.uint8)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read(kind):
    settings = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels = pixels_of(saved(Image.fromarray(gradient()), kind, **settings), LIMIT)
    assert (pixels.shape, pixels.dtype) == ((30, 40, 3), np.uint8)
    assert np.abs(pixels.astype(int) - gradient()).mean() < (25 if kind == "GIF" else 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(kind, orientation):
    upright = Image.fromarray(gradient(40, 30))
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == orientation
    pixels = pixels_of(data, LIMIT)
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - gradient()).mean() < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(orientation):
    assert pixels_of(picture(40, 30, orientation=1), LIMIT).shape == (30, 40, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert pixels_of(saved(Image.fromarray(gradient()), "JPEG", exif=exif), LIMIT).shape == (30, 40, 3)


def test_exif_that_is_broken_turns_nothing():
    assert pixels_of(saved(Image.fromarray(gradient()), "JPEG", exif=b"Exif\x00\x00broken"), LIMIT).shape == (30, 40, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (40, 30), "white").convert(mode)
    pixels = pixels_of(saved(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"), LIMIT)
    assert np.array_equal(pixels, np.full((30, 40, 3), 255))


def test_a_cmyk_jpeg_is_not_inverted():
    data = saved(ImageOps.invert(Image.new("RGB", (16, 16), "cyan")).convert("CMYK"), "JPEG", quality=100)
    assert np.abs(pixels_of(data, LIMIT).astype(int) - (255, 0, 0)).max() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_white(mode):
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((1, 0), (0, 0, 0, 255))
    data = (
        saved(half.convert(mode), "TIFF" if mode == "PA" else "PNG") if mode != "PA" else saved(half.quantize(), "PNG")
    )
    assert pixels_of(data, LIMIT).tolist() == [[[255] * 3, [0] * 3]]


def test_a_transparent_colour_of_grey_and_of_a_palette_is_white():
    grey = Image.fromarray(np.array([[0, 200]], np.uint8))
    assert pixels_of(saved(grey, transparency=0), LIMIT).tolist() == [[[255] * 3, [200] * 3]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    assert pixels_of(saved(palette, "GIF", transparency=0), LIMIT).tolist() == [[[255] * 3, [200, 0, 0]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_become_eight(kind):
    values = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)
    pixels = pixels_of(saved(Image.fromarray(values), kind), LIMIT)
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 127, 255]
    assert np.ptp(pixels, axis=2).max() == 0


@pytest.mark.parametrize(
    ("values", "shown"), [([0, 16, 2048, 4095], [0, 1, 128, 255]), ([0, 1, 255], [0, 1, 255]), ([0, 0], [0, 0])]
)
def test_bits_of_grey_that_nobody_used_make_no_picture_dark(values, shown):
    data = saved(Image.fromarray(np.array([values], np.uint16)), "PNG")
    assert pixels_of(data, LIMIT)[0, :, 0].tolist() == shown


def test_a_broken_pixel_makes_no_picture_dark():
    values = np.full((100, 101), 2048, np.uint16)
    values[50, 50] = 0xFFFF
    pixels = pixels_of(saved(Image.fromarray(values), "PNG"), LIMIT)
    assert (pixels[0, 0, 0], pixels[50, 50, 0]) == (128, 255)


@pytest.mark.parametrize("values", [np.array([[-1.0, 0.0, 1.0]], np.float32), np.array([[-50, 0, 50]], np.int32)])
def test_numbers_of_a_range_of_their_own_are_stretched(values):
    assert pixels_of(saved(Image.fromarray(values), "TIFF"), LIMIT)[0, :, 0].tolist() == [0, 127, 255]


def test_one_number_everywhere_is_no_division_by_zero():
    assert pixels_of(saved(Image.fromarray(np.full((2, 2), 3.0, np.float32)), "TIFF"), LIMIT).max() == 0


def test_the_first_frame_of_an_animation():
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        pixels = pixels_of(saved(red, kind, save_all=True, append_images=[blue]), LIMIT)
        assert pixels[..., 0].min() > 200
        assert pixels[..., 2].max() < 50


def test_too_many_pixels_are_refused_before_they_are_decoded():
    header = saved(Image.new("L", (3000, 3000)))[:60]  # no pixel data: decoding it would fail otherwise
    with pytest.raises(Unanswerable, match=r"3000 x 3000 pixels, more than the 1 megapixels") as caught:
        pixels_of(header, LIMIT)
    assert caught.value.link == "image"
    assert pixels_of(saved(Image.new("L", (1000, 1000))), LIMIT).shape == (1000, 1000, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:300],
        saved(Image.new("L", (9, 9)))[:45],
    ],
)
def test_what_is_no_whole_image_is_refused(data):
    with pytest.raises(Unanswerable, match="are not an image that can be read") as caught:
        pixels_of(data, LIMIT)
    assert caught.value.link == "image"


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds odd
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    st.integers(0, 600),
)
def test_any_damage_is_borne_or_refused(kind, damage, cut):
    data = bytearray(saved(Image.fromarray(gradient(12, 9)), kind))
    for place, value in damage:
        if place < len(data):
            data[place] = value
    try:
        pixels, _ = decoded(bytes(data[: len(data) - cut]), LIMIT)
    except Unanswerable:
        return
    assert pixels.shape[2] == 3


def photograph(name, width, height):
    """A photograph, enlarged, with the noise of a sensor on it."""
    with Image.open(PHOTOS / name) as photo:
        large = np.asarray(photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 1)).astype(np.float32)
    return saved(Image.fromarray((large + noise).clip(0, 255).astype(np.uint8)), "JPEG", quality=90)


def whole(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg"])
@pytest.mark.parametrize("size", [(2048, 1536), (2561, 1919), (1921, 2561), (4000, 3000), (5121, 2000)])
def test_a_large_jpeg_is_decoded_smaller_and_the_canvas_hardly_differs(name, size):
    data = photograph(name, *size)
    pixels, frame = decoded(data, 20_000_000)
    assert (frame.width, frame.height) == size
    assert pixels.shape == (frame.scaled[1], frame.scaled[0], 3) if max(size) >= 2560 else (size[1], size[0], 3)
    reference = canvas_of(whole(data), frame)
    shown = slice(frame.scaled[1]), slice(frame.scaled[0])
    levels = (canvas_of(pixels, frame) - reference)[0, :, *shown] * STD[:, None, None]
    assert np.abs(levels).mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stored", [(2700, 2600), (3000, 1000), (1000, 3000), (2562, 2561)])
def test_a_large_jpeg_is_turned_too(orientation, stored):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", stored)
    image.paste("red", (0, 0, stored[0] // 2, stored[1] // 4))
    data = saved(image, "JPEG", exif=exif)
    pixels, frame = decoded(data, 20_000_000)
    turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert frame == Frame.of(turned)
    assert max(pixels.shape) == 1024
    assert np.abs(canvas_of(pixels, frame) - canvas_of(turned, frame)).mean() < 0.01


def test_a_smaller_jpeg_is_decoded_whole():
    assert pixels_of(photograph("coffee.jpg", 2559, 10), LIMIT).shape == (10, 2559, 3)


WINDOW = Window(5, 10, 25, 26)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_window_is_that_part_of_the_picture_as_it_is_shown(kind, orientation):
    stored = Image.fromarray(gradient(40, 30))
    undo = {1: None, 3: 3, 6: 2}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(stored if undo is None else stored.transpose(Image.Transpose(undo)), kind, exif=exif, **settings)
    pixels, frame = decoded(data, LIMIT, WINDOW)
    assert frame == Frame(20, 16)
    assert pixels.shape == (819, 1024, 3)
    wanted = canvas_of(gradient(40, 30)[WINDOW.rows, WINDOW.columns], frame)
    assert np.abs(canvas_of(pixels, frame) - wanted).mean() < 0.06


@pytest.mark.parametrize("orientation", [1, 8])
def test_a_window_of_a_large_photograph_is_decoded_smaller_and_shows_the_same(orientation, monkeypatch):
    asked = []
    draft = JpegImageFile.draft
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, *size: asked.append(self) or draft(self, *size))
    photo = Image.open(PHOTOS / "chelsea.jpg").resize((4000, 3000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(photo if orientation == 1 else photo.transpose(Image.Transpose.ROTATE_270), "JPEG", exif=exif)
    window = Window(1000, 750, 3000, 2750)
    pixels, frame = decoded(data, 20_000_000, window)
    assert [image.size for image in asked] == [(2000, 1500) if orientation == 1 else (1500, 2000)]
    wanted = canvas_of(np.asarray(photo)[window.rows, window.columns], frame)
    assert np.abs((canvas_of(pixels, frame) - wanted)[0] * STD[:, None, None]).mean() < 1.5
