"""Fingerprints of training images: few, short, and the same for the same pixels alone."""

import base64
import hashlib

import numpy as np
import pytest

from runtime.data.fingerprints import COUNT, fingerprint, fingerprints, read_fingerprints

IMAGES = np.random.default_rng(0).integers(0, 256, (500, 4, 3, 1), np.uint8)


@pytest.mark.parametrize(("images", "count"), [(1, 1), (5, 5), (24, 24), (500, COUNT)])
def test_they_are_of_images_from_the_first_to_the_last(images: int, count: int) -> None:
    found = read_fingerprints(fingerprints(IMAGES[:images]))
    assert len(found) == count
    assert found <= {hashlib.blake2b(image.tobytes(), digest_size=5).digest() for image in IMAGES[:images]}
    assert {fingerprint(IMAGES[0]), fingerprint(IMAGES[images - 1])} <= found


def test_another_pixel_gives_another() -> None:
    other = IMAGES[0].copy()
    other[0, 0, 0] ^= 1
    assert fingerprint(other) != fingerprint(IMAGES[0])


@pytest.mark.parametrize("text", [None, 5, "?", [], "é"])
def test_what_holds_none(text: object) -> None:
    assert read_fingerprints(text) == set()
    assert read_fingerprints(base64.b64encode(b"12345").decode()) == {b"12345"}
