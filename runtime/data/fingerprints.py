"""Digests of some training images, by which an artefact tells that a data set holds images that it was trained on."""

import base64
import hashlib
from typing import Any

import numpy as np

from ..image import Pixels

COUNT, BYTES = 24, 5


def fingerprints(images: Any) -> str:
    """Digest some images, at most 24, in base64.

    images: uint8 [N, H, W, C], an array or what has its index.
    """
    rows = np.linspace(0, len(images) - 1, min(COUNT, len(images))).astype(int).tolist()
    return base64.b64encode(b"".join(fingerprint(np.asarray(images[row])) for row in rows)).decode()


def read_fingerprints(text: Any) -> set[bytes]:
    """Read what `fingerprints` gave; empty for what is none."""
    try:
        joined = base64.b64decode(text)
    except (TypeError, ValueError):
        return set()
    return {joined[start : start + BYTES] for start in range(0, len(joined), BYTES)}


def fingerprint(image: Pixels) -> bytes:
    """Digest an image, uint8 [H, W, C]."""
    return hashlib.blake2b(image.tobytes(), digest_size=BYTES).digest()
