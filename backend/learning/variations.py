"""The same picture as another camera on another day might have seen it."""

from __future__ import annotations

import cv2
import numpy as np

from backend.learning.canvases import Picture, Pixels


def varied(random: np.random.Generator, picture: Picture) -> Picture:
    """Mirrored, at another angle, in another light, out of focus, paler or brighter; labels stay on their objects."""
    image, labels = picture.image, picture.labels
    if random.random() < 0.5:
        image, labels = image[:, ::-1], None if labels is None else labels[:, ::-1]
    picture = Picture(np.ascontiguousarray(image), None if labels is None else np.ascontiguousarray(labels))
    if random.random() < 0.25:
        picture = _turned(random, picture)
    return Picture(_toned(random, _coloured(random, picture.image)), picture.labels)


def _turned(random: np.random.Generator, picture: Picture) -> Picture:
    """Up to 20 degrees around its middle, with stretched sides. What comes into view is mirrored, and no object."""
    size = picture.size
    middle = np.array(size) / 2
    angle = np.radians(random.uniform(-20, 20))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * random.uniform(
        0.85, 1.18, (2, 1)
    )
    move = np.column_stack([turn, middle - turn @ middle])
    image = cv2.warpAffine(picture.image, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    labels = picture.labels
    if labels is not None:
        labels = np.asarray(cv2.warpAffine(labels, move, size, flags=cv2.INTER_NEAREST), np.uint16)
    return Picture(np.asarray(image, np.uint8), labels)


def _coloured(random: np.random.Generator, image: Pixels) -> Pixels:
    """Another light, a blur, paler or richer colours, each now and then."""
    if random.random() < 0.2:
        image = np.asarray(cv2.multiply(image, np.array([*random.uniform(0.85, 1.15, 3), 1.0])), np.uint8)
    if random.random() < 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.5, 1.5)), np.uint8)
    if random.random() < 0.4:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        colour = random.uniform(0.0, 1.5)
        image = np.asarray(cv2.addWeighted(image, colour, grey, 1 - colour, 0), np.uint8)
    return image


def _toned(random: np.random.Generator, image: Pixels) -> Pixels:
    """More or less contrast around the mean, darker or brighter, each now and then."""
    contrast = random.uniform(0.7, 1.3) if random.random() < 0.2 else 1.0
    brightness = random.uniform(0.7, 1.3) if random.random() < 0.4 else 1.0
    if contrast == brightness == 1.0:
        return image
    mean = image.mean()
    tones = brightness * (mean + contrast * (np.arange(256) - mean))
    return np.asarray(cv2.LUT(image, tones.clip(0, 255).astype(np.uint8)), np.uint8)
