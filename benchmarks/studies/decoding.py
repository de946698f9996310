"""JPEG's own scaling: how much faster small images are decoded, and how far their pixels are from the contract's."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from runtime.image import ImageContract, Pixels

from ..tools.measure import check, table

SIZE = (4000, 3000)
SIDES = (32, 64, 224)
HEAD = ("side", "times faster", "pixels that differ", "mean difference", "largest, of 255")


def compare(count: int, photos: Path | None, size: tuple[int, int] = SIZE) -> Iterator[str]:
    """Yield a table: a row for each side of the model's images.

    count: photos.
    photos: folder to take them from, enlarged; patterns without.
    size: width and height of the photos.
    """
    encoded = [jpeg(image, size) for image in images(count, photos)]
    check(len(encoded) == count, f"{count} photos", len(encoded))
    yield table(HEAD, [row(encoded, side) for side in SIDES])


def images(count: int, photos: Path | None) -> Iterator[Image.Image]:
    """Yield photos, or patterns with detail of every size."""
    paths = sorted(photos.rglob("*.jpg"))[:count] if photos else []
    for path in paths:
        with Image.open(path) as image:
            yield image.convert("RGB")
    generator = np.random.default_rng(0)
    for _ in range(0 if photos else count):
        layers = [
            Image.fromarray(generator.integers(0, 256, (side, side, 3), np.uint8)).resize(
                (512, 512), Image.Resampling.BICUBIC
            )
            for side in (4, 32, 256)
        ]
        yield Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.2)


def jpeg(image: Image.Image, size: tuple[int, int]) -> bytes:
    """Enlarge an image and encode it, in quality 90."""
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def row(encoded: list[bytes], side: int) -> tuple[str, ...]:
    """Compare at one side of the model's images."""
    contract = ImageContract(height=side, width=side, color="RGB")
    ratios, differences = [], []
    for data in encoded:
        started = time.perf_counter()
        full = contract.pixels(data)
        middle = time.perf_counter()
        quick = scaled(data, contract)
        ratios.append((middle - started) / (time.perf_counter() - middle))
        differences.append(np.abs(full.astype(int) - quick))
    found = np.stack(differences)
    return f"{side}", f"{median(ratios):.1f}", f"{(found > 0).mean():.0%}", f"{found.mean():.2f}", f"{found.max()}"


def scaled(data: bytes, contract: ImageContract) -> Pixels:
    """Decode with the largest scaling that keeps at least the model's size."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", contract.size)
        return contract.pixels(image)
