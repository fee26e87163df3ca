"""A model, pictures and a Label Studio that tests can look into."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from backend.labelstudio.images import ImageLoader
from backend.labelstudio.segmenter import Segmenter
from backend.segmentation.embeddings import EmbeddingCache

LABEL_STUDIO = "http://127.0.0.1:8080"
REACH, HOLE = 24.0, 8.0
"""Low-res pixels around a positive and a negative click."""


class DiscEngine:
    """Masks a disc around every positive click and the inside of a box, without a smaller disc around negatives.

    Its embedding holds the picture's mean colour, so that masks of one picture cannot pass for another's.
    """

    identity = "disc"
    version = "disc-v1"
    twice = True

    def __init__(self):
        self.encoded = 0
        self.colours = []

    def for_picture(self, _embedding):
        return self

    def encode(self, canvas):
        self.encoded += 1
        lit = canvas[0].reshape(3, -1)
        return np.broadcast_to(lit.mean(axis=1).repeat(86)[:256], (4096, 256)).astype(np.float16)

    def decode(self, embedding, coordinates, labels, low_res):
        self.colours.append(embedding.features[0, 0])
        y, x = np.mgrid[:256, :256] + 0.5
        logits = np.empty((len(labels), 256, 256), np.float32)
        for one, (points, kinds) in enumerate(zip(coordinates / 4, labels, strict=True)):
            inside = np.zeros((256, 256), bool)
            for (px, py), kind in zip(points, kinds, strict=True):
                if kind == 1:
                    inside |= np.hypot(x - px, y - py) < REACH
            if 2 in kinds:
                (left, top), (right, bottom) = points[kinds == 2][0], points[kinds == 3][0]
                inside |= (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            for (px, py), kind in zip(points, kinds, strict=True):
                if kind == 0:
                    inside &= np.hypot(x - px, y - py) >= HOLE
            logits[one] = np.where(inside, 8, -8)
        return logits


class NothingEngine(DiscEngine):
    """Finds nothing."""

    def decode(self, embedding, coordinates, labels, low_res):
        return np.full_like(super().decode(embedding, coordinates, labels, low_res), -8)


def picture(width=800, height=534, colour=(90, 140, 40), kind="JPEG", orientation=1, mode="RGB"):
    """An image file of one colour; as shown it is width x height, whatever its EXIF orientation."""
    size = (height, width) if orientation >= 5 else (width, height)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(file, kind, exif=exif)
    return file.getvalue()


def data_uri(data, kind="image/jpeg"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def loader(answers: Callable[[httpx.Request], httpx.Response], **settings) -> ImageLoader:
    """An image loader whose network is `answers`."""
    return ImageLoader(**settings, transport=httpx.MockTransport(answers))


def segmenter_of(engine=None, images=None, model_dir: Path | None = None, **settings):
    """A segmenter whose Label Studio has pictures of the recorded sizes."""
    engine = engine or DiscEngine()
    images = images or loader(studio, label_studio_url=LABEL_STUDIO, api_key="legacy", model_dir=model_dir)
    return Segmenter(lambda: engine, images, EmbeddingCache(64 << 20), **settings)


def studio(request: httpx.Request) -> httpx.Response:
    """Label Studio's uploads and local files, for its token; and another server that must not see it."""
    if request.url.port == 8080 and request.headers.get("authorization") != "Token legacy":
        return httpx.Response(401, json={"detail": "Authentication credentials were not provided."})
    if request.url.port != 8080 and "authorization" in request.headers:
        return httpx.Response(500, text="a token that is not for this server")
    name = str(request.url)
    if "truck" in name:
        return httpx.Response(200, content=picture(900, 600, (10, 20, 200)))
    if "exif6" in name:
        return httpx.Response(200, content=picture(orientation=6))
    return httpx.Response(200, content=picture())
