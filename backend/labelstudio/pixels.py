"""An image file's bytes -> the pixels that a page shows, no more of them than the network looks at."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.preprocess import SIDE, Frame
from backend.segmentation.windows import Window

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

FINE_ENOUGH = SIDE * 5 // 4
"""Pixels on the longest side that a JPEG keeps at least where it is decoded smaller, as its DCT allows by 2, 4 and 8.

From there the canvas differs from that of the whole picture by less than a grey level on average; down to the canvas's
own side it would differ by up to 1.5, since the DCT leaves more sharpness than the resize that the network knows.
"""

CLOSE_ENOUGH = SIDE * 7 // 8
"""The same for a window of the picture: that of a photograph of 12 megapixels is decoded at half its size then."""

ORIENTATION = 0x0112
"""The EXIF tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What its values ask for; others ask for nothing."""
LYING = tuple(TURNS[value] for value in (5, 6, 7, 8))
"""Those that exchange width and height."""

BROKEN_SHARE = 1e-4
"""Of the pixels of a picture with 16 bits, at most: what so few of them say alone is no light."""

Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and checked before anything is decoded


def pixels_of(data: bytes, max_pixels: int, window: Window | None = None) -> tuple[NDArray[np.uint8], Frame]:
    """An image file's bytes -> RGB uint8 H x W x 3, turned as its EXIF orientation says, and the size it is shown in.

    window: of the picture as it is shown, the only part that is wanted; it comes in its size on the canvas, as a large
    JPEG does. The first frame of an animation; what is transparent on white; of 16 bits of grey the highest 8 that are
    used. Raises Unanswerable where it is no image of a known format, is broken, or has more than `max_pixels` (checked
    before it is decoded).
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise Unanswerable(
                    "image",
                    f"the image has {width} x {height} pixels, more than the {max_pixels / 1e6:g} "
                    "megapixels that are allowed (EDGESAM_MAX_MEGAPIXELS)",
                )
            if window:
                return _part(image, window), window.frame
            if isinstance(image, JpegImageFile) and max(image.size) >= 2 * FINE_ENOUGH:
                return _reduced(image)
            pixels = np.asarray(rgb_of(_turned(image, _turn_of(image))))
            return pixels, Frame.of(pixels)
    except Unanswerable:
        raise
    except Exception as error:  # a hostile file makes Pillow raise nearly anything
        why = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise Unanswerable(
            "image",
            f"the {len(data)} bytes that begin with {data[:16]!r} are not an image that can be read ({why}): use "
            + ", ".join(FORMATS),
        ) from None


def _reduced(image: JpegImageFile) -> tuple[NDArray[np.uint8], Frame]:
    """A large JPEG in its size on the canvas."""
    width, height = image.size
    by = _decoded_smaller(image, FINE_ENOUGH)
    stored = Frame(width, height)
    # The last pixels may stand for less than the others: only the image's own part is taken.
    small = image.resize(stored.scaled, Image.Resampling.BILINEAR, box=(0, 0, width / by, height / by))
    turn = _turn_of(image)
    return np.asarray(rgb_of(_turned(small, turn))), Frame(height, width) if turn in LYING else stored


def _part(image: Image.Image, window: Window) -> NDArray[np.uint8]:
    """A window of the picture in its size on the canvas."""
    parts = max(image.size) / max(window.frame.width, window.frame.height)
    by = _decoded_smaller(image, math.ceil(CLOSE_ENOUGH * parts)) if isinstance(image, JpegImageFile) else 1
    shown = _turned(image, _turn_of(image))
    if shown.mode != "RGB" or shown.has_transparency_data:  # else it would be a needless copy
        shown = rgb_of(shown)
    box = (window.left / by, window.top / by, window.right / by, window.bottom / by)
    return np.asarray(shown.resize(window.frame.scaled, Image.Resampling.BILINEAR, box=box))


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """How the page turns a picture, as Chromium does: as its EXIF says. What XMP or a WebP's EXIF says turns nothing.
    TIFF's are turned by Pillow as they are decoded."""
    if image.format == "PNG":
        image.load()  # its EXIF may come last
    elif image.format not in ("JPEG", "MPO"):
        return None
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return TURNS.get(exif.get(ORIENTATION, 1))
    except Exception:  # what is broken turns nothing: the page shows such a picture too
        return None


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _decoded_smaller(image: JpegImageFile, longest: int) -> int:
    """Has a JPEG decoded 2, 4 or 8 times smaller, `longest` pixels or more on its longest side; how many times."""
    width, height = image.size
    # Pillow takes the worse of the two sides' ratios: 1 leaves the longest side to decide.
    image.draft(None, (longest, 1) if width >= height else (1, longest))
    return 1 << round(math.log2(max(width, height) / max(image.size)))


def rgb_of(image: Image.Image) -> Image.Image:
    """A picture of any kind as a page shows it, in RGB: see pixels_of."""
    if image.mode.startswith("I;16"):
        numbers = np.asarray(image)
        unread = max(0, _used_bits(numbers) - 8)
        return Image.fromarray((numbers >> unread).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):  # a range of its own: stretched to what it holds
        values = np.asarray(image, np.float64)
        low, high = values.min(), values.max()
        return Image.fromarray(((values - low) * 255 / ((high - low) or 1)).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    shown_on_white = Image.new("RGBA", image.size, "white")
    shown_on_white.alpha_composite(image.convert("RGBA"))
    return shown_on_white.convert("RGB")


def _used_bits(numbers: NDArray[np.uint16]) -> int:
    """Cameras and scanners of 10, 12 or 14 bits leave the upper ones empty, but in a pixel that is broken: with all 16
    the picture would be nearly black."""
    bits = int(numbers.max()).bit_length()
    while bits > 8 and np.count_nonzero(numbers >> (bits - 1)) <= BROKEN_SHARE * numbers.size:
        bits -= 1
    return bits
