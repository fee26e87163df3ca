"""Pictures are turned as the browser turns them, by whatever metadata: a mask would lie elsewhere otherwise."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from backend.labelstudio.pixels import pixels_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SHOWN = """
async address => {
    const image = new Image()
    image.src = address
    await image.decode()
    const canvas = document.createElement("canvas")
    canvas.width = image.naturalWidth
    canvas.height = image.naturalHeight
    const drawing = canvas.getContext("2d")
    drawing.drawImage(image, 0, 0)
    return [canvas.width, canvas.height, [...drawing.getImageData(0, 0, canvas.width, canvas.height).data]]
}
"""
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description tiff:Orientation="{}" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/></rdf:RDF></x:xmpmeta>'
)
FORMATS = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}


@pytest.fixture(scope="module")
def shown(chromium):
    """shown(kind, data) -> the pixels that the browser shows of a file."""
    with sync_playwright() as started:
        page = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()

        def shown(kind, data):
            address = f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
            width, height, values = page.evaluate(SHOWN, address)
            return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]

        yield shown


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("says", ["EXIF", "XMP"])
def test_as_the_browser_shows_them(shown, kind, says):
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[:15, :20], stored[:15, 20:], stored[15:, :20] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        told = {"exif": exif} if says == "EXIF" else {"xmp": XMP.format(orientation).encode()}
        file = io.BytesIO()
        Image.fromarray(stored).save(file, kind, **told, **FORMATS[kind])
        page, (ours, _) = shown(kind, file.getvalue()), pixels_of(file.getvalue(), 10_000)
        assert page.shape == ours.shape, orientation
        assert np.abs(page.astype(int) - ours).mean() < 3, orientation
