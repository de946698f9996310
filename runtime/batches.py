"""From many images to blocks of the model's size, of bounded memory; several threads decode files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .image import CHANNELS, ImageContract, ImageLike, describe
from .sources import is_encoded, is_pillow

if TYPE_CHECKING:
    from .image import Pixels

BLOCK_BYTES = 8 * 2**20
BLOCK_IMAGES = 256
DECODERS = 8


def block_size(contract: ImageContract) -> int:
    """How many images of the model's size a block may have."""
    return max(1, min(BLOCK_IMAGES, BLOCK_BYTES // int(np.prod(contract.shape))))


def blocks(images: Iterable[ImageLike], contract: ImageContract) -> Iterator[Pixels]:
    """Bring images to the model's size, in blocks [N, H, W, C].

    images: of any sizes and kinds that `contract.pixels` takes. An array is one of images with the axes [N, H, W, C];
        with [N, H, W] where the model's size is H × W, grey; and with one axis, as of paths.
    Raises InputError, with the position of an image that cannot be read.
    """
    _check(images, contract)
    numbered, size = enumerate(images), block_size(contract)
    while block := list(islice(numbered, size)):
        yield _block(block, contract)


def _check(images: Iterable[ImageLike], contract: ImageContract) -> None:
    """Refuse what is not several images; one image may be iterable too."""
    if isinstance(images, np.ndarray):
        height, width, channels = contract.shape
        grey = channels == 1 and images.shape[1:] == (height, width) and width not in CHANNELS.values()
        if images.ndim not in (1, 4) and not grey:
            raise InputError(
                f"expected images [N, {height}, {width}, {channels}] or a list of images, got {describe(images)}: "
                "pass one image to classify"
            )
    elif is_encoded(images) or is_pillow(images):
        raise InputError(
            f"expected images one after another, as in a list, got one, a {describe(images)}: pass it to classify"
        )
    elif not (hasattr(images, "__iter__") or hasattr(images, "__getitem__")):
        raise InputError(f"expected images one after another, as in a list, got {describe(images)}")


def _block(numbered: list[tuple[int, ImageLike]], contract: ImageContract) -> Pixels:
    """Bring images to the model's size, by a few threads unless they are arrays of that size: [N, H, W, C]."""

    def pixels(numbered: tuple[int, ImageLike]) -> Pixels:
        position, image = numbered
        try:
            return contract.pixels(image)
        except InputError as error:
            raise InputError(f"image {position}: {error}") from error

    if all(isinstance(image, np.ndarray) and image.shape[:2] == contract.shape[:2] for _, image in numbered):
        return np.stack([pixels(item) for item in numbered])
    from .processes import cpus  # here, since it takes a cold start's 10 ms
    from .threads import in_threads

    return np.stack(list(in_threads(pixels, numbered, min(DECODERS, cpus()))))
