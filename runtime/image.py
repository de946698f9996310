"""The image contract: how any image becomes the model's input.

Only this module and `decoding` decode, convert and resize images, for the trainer and the runtime alike, so that both
get the same pixels. Pillow is imported only by the functions that decode or convert.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .errors import InputError
from .geometry import crop_box, is_elongated, is_tiny, size_inside
from .origin import raised_by
from .sources import BYTES, is_encoded, is_pillow
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray
    from PIL import Image

    from .remarks import Remarks

PILLOW = "PIL"
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
ImageLike: TypeAlias = "Pixels | Image.Image | str | os.PathLike[str] | Traversable | bytes"
Encoded: TypeAlias = "os.PathLike[str] | bytes | InputError | None"

CHANNELS = {"L": 1, "RGB": 3}
FITS = ("stretch", "crop", "pad")
MAX_SHIFT = 8
FILTERS = ("bilinear",)
MAX_SIDE = 16384


@dataclass(frozen=True, kw_only=True)
class ImageContract:
    """How any image becomes the model's input.

    height, width: pixels, 1 to 16,384.
    color: "L" (greyscale, one channel) or "RGB".
    fit: "stretch" resizes to height × width without keeping the aspect ratio; "crop" first cuts off what is outside the
        largest centred part of the model's aspect ratio; "pad" resizes the image to fit inside, centred on `fill`.
    filter: "bilinear", Pillow's, which averages over the area when it shrinks.
    shift: 16-bit pixels become `value >> shift`, 0 to 8: 8 is for values of 0-65535, 4 for 0-4095, 0 for 0-255.
    fill: for "pad", one integer of 0-255 a channel; None for black.
    Transparent pixels become white. Raises InputError.
    """

    height: int
    width: int
    color: str = "L"
    fit: str = "stretch"
    filter: str = "bilinear"
    shift: int = 8
    fill: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise InputError(f"expected an image side of 1 to {MAX_SIDE:,} pixels, found {side!r}")
        for value, known in ((self.color, CHANNELS), (self.fit, FITS), (self.filter, FILTERS)):
            if value not in known:
                raise InputError(f"expected one of {', '.join(known)} in the image contract, found {value!r}")
        if type(self.shift) is not int or not 0 <= self.shift <= MAX_SHIFT:
            raise InputError(f"expected a shift of 16-bit pixels of 0 to {MAX_SHIFT}, found {self.shift!r}")
        if self.fit == "pad" and self.fill is None:
            object.__setattr__(self, "fill", (0,) * self.channels)
        self._check_fill()

    def _check_fill(self) -> None:
        if self.fit != "pad":
            if self.fill is not None:
                raise InputError(f"expected a fill only where fit is 'pad', found {self.fill!r} for {self.fit!r}")
            return
        fill = self.fill
        valid = isinstance(fill, tuple) and all(type(value) is int and 0 <= value <= 255 for value in fill)
        if not valid or len(fill or ()) != self.channels:
            raise InputError(f"expected a fill of {self.channels} integers of 0-255, one a channel, found {fill!r}")

    @property
    def channels(self) -> int:
        """1 or 3."""
        return CHANNELS[self.color]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as Pillow has it."""
        return self.width, self.height

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def is_plain(self) -> bool:
        """Whether format 1 of the artefact has all of it: stretched, 16-bit pixels shifted by 8."""
        return self.fit == "stretch" and self.shift == 8

    def to_json(self) -> dict[str, Any]:
        """Return the contract as JSON values; `shift` and `fill` only where they are not the default."""
        found: dict[str, Any] = {name: getattr(self, name) for name in ("height", "width", "color", "fit", "filter")}
        if self.shift != 8:
            found["shift"] = self.shift
        return found if self.fill is None else found | {"fill": list(self.fill)}

    @classmethod
    def from_json(cls, value: Any, *, plain: bool) -> ImageContract:
        """Read what `to_json` returned.

        plain: whether the file is of a version that has no `shift`, no `fill` and one `fit`.
        Raises InputError, and KeyError, TypeError or ValueError for what is no contract.
        """
        found = {name: value[name] for name in ("height", "width", "color", "fit", "filter")}
        if not plain:
            found |= {name: value[name] for name in ("shift", "fill") if name in value}
        image = cls(**found | ({"fill": tuple(found["fill"])} if "fill" in found else {}))
        if (plain and not image.is_plain) or ("fill" in found) != (image.fit == "pad"):
            raise InputError(f"expected fit, shift and fill of one version, found {found}")
        return image

    def pixels(self, image: ImageLike, remarks: Remarks | None = None) -> Pixels:
        """Convert an image to the model's size and colour.

        image: a uint8 array, a Pillow image, a path, the bytes of an encoded image, or a Traversable as
            importlib.resources has it. An array of the model's size and colour is returned without a copy.
        remarks: where to write what is to be said of the image; by default it is said with an ImageWarning.
        Returns uint8 [height, width, channels]. Raises InputError.
        """
        if isinstance(image, np.ndarray):
            image = _checked(image)
            if image.shape == self.shape:
                return image
        from .remarks import ImageWarning, Remarks, messages, tally

        noticed = Remarks() if remarks is None else remarks
        pixels = self._pixels(image, noticed)
        if noticed and remarks is None:
            for message in messages(tally([noticed], self.shift), 1, self.shift):
                warnings.warn(f"{name_of(image)}: {message}", ImageWarning, stacklevel=3)
        return pixels

    def _pixels(self, image: ImageLike, remarks: Remarks) -> Pixels:
        from .decoding import decode, from_array
        from .depth import is_deep

        if isinstance(image, np.ndarray):
            return self._conform(from_array(image), remarks)
        if is_encoded(image):
            decoded = decode(image, shift=self.shift, remarks=remarks)
            try:
                return self._conform(decoded, remarks)
            except InputError as error:
                error.args = (f"{name_of(image)}: {error}",)
                raise
        if is_pillow(image):
            if self.shift != 8 and is_deep(image):
                raise InputError(
                    "expected 16-bit colours in a file, found a Pillow image, which has 8 bits: pass the path"
                )
            return self._conform(image, remarks)
        raise InputError(
            "expected a uint8 array, a Pillow image, a path or the bytes of an encoded image, "
            f"found {type(image).__name__}"
        )

    def _conform(self, image: Image.Image, remarks: Remarks) -> Pixels:
        if 0 in image.size:
            raise InputError(f"expected an image of at least 1 × 1 pixels, got {image.width} × {image.height}")
        remarks.elongated = is_elongated(image.size, self.size)
        remarks.tiny = is_tiny(image.size, self.size)
        try:
            converted = _flatten(image, self.shift, remarks)
            converted.load()
            if converted.mode != self.color:
                converted = converted.convert(self.color)
        except Exception as error:  # an image that Pillow has opened but not loaded may be damaged
            if not raised_by(error, PILLOW):
                raise
            message = f"expected an image that converts to {self.color}, got mode {image.mode} ({error})"
            raise InputError(message) from error
        converted = self._fitted(converted)
        return np.asarray(converted, dtype=np.uint8).reshape(self.shape)

    def _fitted(self, image: Image.Image) -> Image.Image:
        """Bring an image of the contract's colour to its size."""
        if self.fit == "crop":
            image = image.crop(crop_box(image.size, self.size))
        if self.fit != "pad":
            return self._resized(image, self.size)
        inside = size_inside(image.size, self.size)
        resized = self._resized(image, inside)
        if inside == self.size:
            return resized
        from PIL import Image as pillow

        fill = self.fill or ()
        canvas = pillow.new(self.color, self.size, fill[0] if len(fill) == 1 else fill)
        canvas.paste(resized, ((self.width - inside[0]) // 2, (self.height - inside[1]) // 2))
        return canvas

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        from PIL import Image as pillow

        if image.size == size:
            return image
        resampling = pillow.Resampling[self.filter.upper()]
        # One side at a time: Pillow 13 resizes the sides in another order than before, which rounds differently.
        return image.resize((size[0], image.height), resampling).resize(size, resampling)


def describe(value: object) -> str:
    """Name what was given in place of images: an array's type and shape, or the type."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def name_of(image: object) -> str:
    """Name an encoded image in a message."""
    return BYTES if isinstance(image, (bytes, bytearray)) else str(image) if is_encoded(image) else "this image"


def read_images(images: Iterable[Encoded], contract: ImageContract) -> list[tuple[Pixels | str, Remarks]]:
    """Convert images to the model's size and colour, each with remarks; for an unreadable one, the reason instead.

    images: in place of one that could not be fetched, the error.
    """
    from .remarks import Remarks

    found: list[tuple[Pixels | str, Remarks]] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # damage that matters raises an error too
        for image in images:
            remarks = Remarks()
            try:
                if image is None:
                    raise InputError("expected the bytes of an encoded image, found null")
                if isinstance(image, InputError):
                    raise image
                found.append((contract.pixels(image, remarks), remarks))
            except InputError as error:
                found.append((one_line(str(error).removeprefix(f"{name_of(image)}: ")), Remarks()))
    return found


def _checked(array: NDArray[np.generic]) -> Pixels:
    """uint8 [H, W] or [H, W, 1 or 3] → uint8 [H, W, C]."""
    array = np.asarray(array)  # a np.matrix always has two axes
    if array.dtype != np.uint8:
        raise InputError(
            f"expected uint8 pixels 0-255, got {array.dtype}: pass raw pixels, the model scales them itself"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in CHANNELS.values() or 0 in array.shape:
        raise InputError(f"expected [H, W], [H, W, 1] or [H, W, 3], got {list(array.shape)}")
    return array  # type: ignore[return-value]


def _flatten(image: Image.Image, shift: int, remarks: Remarks) -> Image.Image:
    """Convert Pillow's other modes to 8 bits without alpha; 16-bit pixels are shifted, and clipped to what remains."""
    from PIL import Image as pillow

    if image.mode.startswith("I"):
        from .depth import shifted

        image, remarks.largest = shifted(image, shift)
        return image
    if image.mode == "F":
        raise InputError("expected 8-bit or 16-bit pixels, got a floating-point image: save it as 8-bit first")
    if not image.has_transparency_data:
        return image
    white = pillow.new("RGBA", image.size, (255, 255, 255, 255))
    return pillow.alpha_composite(white, image.convert("RGBA"))
