"""The metadata inside an artefact, beside its graph: its definition, writing it as JSON, reading and validating it.

Every format holds the same six entries: ONNX as `metadata_props` named `kit.<entry>`, each a JSON text; TorchScript as
one JSON object in `_extra_files["kit.json"]`. None of them depends on when or where it was written. Files for
onnxruntime also carry a seal, a digest of all their content.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from .errors import ArtefactError, InputError
from .image import CHANNELS, ImageContract, Pixels
from .seal import EMPTY_SEAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = "1.1"
INPUT, OUTPUT = "images", "probabilities"
EXTRA_FILE = "kit.json"
PREFIX = "kit."
VALUE_BINS, COLOUR_BINS = 16, 25
SEAL = "seal"
ENTRIES = ("version", "labels", "image", "pixel_statistics", "golden", "provenance")

T = TypeVar("T")


class Appearance(NamedTuple):
    """Statistics of the training images with which `runtime.skew.measures` detects input skew.

    border, whole: shares of 16 equal ranges of pixel values, at the images' border and in the whole image.
    colours: shares of 25 ranges of colour; empty for greyscale.
    least_range: the smallest difference between the lightest and the darkest pixel of an image, 0-255.
    least_peak: the smallest value of the lightest pixel of an image, 0-255.
    one, several: by the measures' names, the limits below which one image, and half of several images, look unlike the
        training images; measures that cannot tell are left out.
    """

    border: tuple[float, ...]
    whole: tuple[float, ...]
    colours: tuple[float, ...]
    least_range: int
    least_peak: int
    one: Mapping[str, float]
    several: Mapping[str, float]


class PixelStatistics(NamedTuple):
    """Statistics of the training images.

    mean, std: mean and standard deviation of the pixels, one value a channel, in units of 0-255.
    appearance: None in artefacts of format 1.0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    appearance: Appearance | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return self._asdict() | {"appearance": self.appearance and self.appearance._asdict()}


class Golden(NamedTuple):
    """Held-out images with the trained model's probabilities.

    images: uint8 [G, H, W, C].
    probabilities: float32 [G, K].
    tolerance: the largest difference in probability that the artefact may show.
    """

    images: Pixels
    probabilities: NDArray[np.float32]
    tolerance: float


class Metadata(NamedTuple):
    """All that an artefact carries beside its graph.

    labels: K different class names in output order.
    image: how any image becomes the model's input.
    pixel_statistics: None where the training images are not known.
    golden: the examples of the self-test.
    provenance: data set, counts, final figures, settings, versions, checkpoint digest; free-form JSON.
    others: entries of a later version, by their names.
    """

    labels: tuple[str, ...]
    image: ImageContract
    pixel_statistics: PixelStatistics | None
    golden: Golden
    provenance: Mapping[str, Any]
    others: Mapping[str, Any] = MappingProxyType({})

    def to_json(self) -> dict[str, Any]:
        """Return the entries as JSON values, by name, in the order of ENTRIES, and the others after them."""
        golden = {
            "images": binascii.b2a_base64(self.golden.images.tobytes(), newline=False).decode("ascii"),
            "probabilities": [[float(f"{p:.9g}") for p in row] for row in self.golden.probabilities],
            "tolerance": self.golden.tolerance,
        }
        return {
            "version": VERSION,
            "labels": list(self.labels),
            "image": asdict(self.image),
            "pixel_statistics": self.pixel_statistics and self.pixel_statistics.to_json(),
            "golden": golden,
            "provenance": dict(self.provenance),
            **self.others,
        }

    def to_props(self) -> dict[str, str]:
        """Return the entries as ONNX metadata properties, `kit.<entry>` → JSON text, and an empty seal."""
        entries = {PREFIX + name: dumps(value) for name, value in self.to_json().items()}
        return entries | {PREFIX + SEAL: EMPTY_SEAL.decode()}


def dumps(value: object) -> str:
    """Write JSON that is the same text for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def from_props(props: Mapping[str, str]) -> Metadata:
    """Read what `Metadata.to_props` wrote. Raises ArtefactError."""
    names = [key.removeprefix(PREFIX) for key in props if key.startswith(PREFIX) and key != PREFIX + SEAL]
    return from_json({name: _loads(PREFIX + name, props[PREFIX + name]) for name in sorted(names)})


def from_text(text: str | bytes) -> Metadata:
    """Read the JSON object that `to_json` gave, written as text. Raises ArtefactError."""
    document = _loads(EXTRA_FILE, text)
    _expect(isinstance(document, dict), EXTRA_FILE, "an object", document)
    return from_json(document)


def from_json(document: Mapping[str, Any]) -> Metadata:
    """Read and validate the entries that `Metadata.to_json` gave. Raises ArtefactError."""
    if "version" in document:
        _check_version(document["version"])
    missing = [PREFIX + name for name in ENTRIES if name not in document]
    if missing:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, found a file without {', '.join(missing)}: export it again"
        )
    labels = _read("labels", document["labels"], _labels, "at least 2 different, non-empty strings")
    image = _read("image", document["image"], _image, "height, width, color, fit and filter that this version knows")
    statistics = _read(
        "pixel_statistics",
        document["pixel_statistics"],
        _statistics,
        "mean and std, a finite number a channel, and an appearance that this version knows",
    )
    _expect(
        not statistics or len(statistics.mean) == image.channels,
        PREFIX + "pixel_statistics",
        f"{image.channels} channels",
        statistics,
    )
    golden = _golden(document["golden"], image, len(labels))
    provenance = document["provenance"]
    _expect(isinstance(provenance, dict), PREFIX + "provenance", "an object", provenance)
    others = {name: value for name, value in document.items() if name not in ENTRIES}
    return Metadata(
        labels=labels,
        image=image,
        pixel_statistics=statistics,
        golden=golden,
        provenance=provenance,
        others=others,
    )


def _check_version(version: object) -> None:
    known = VERSION.partition(".")[0]
    found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", version) if isinstance(version, str) else None
    _expect(found is not None, PREFIX + "version", "MAJOR.MINOR", version)
    if found and int(found[1]) > int(known):
        raise ArtefactError(
            f"expected an artefact of format {known}.x, found {version}: upgrade softmax-kit here, "
            "or export with an older one"
        )


def _items(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return list(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def _labels(value: Any) -> tuple[str, ...]:
    value = _items(value)
    if len(value) < 2 or len(set(value)) != len(value) or not all(isinstance(label, str) and label for label in value):
        raise ValueError
    return tuple(value)


def _image(value: Any) -> ImageContract:
    return ImageContract(**{part.name: value[part.name] for part in fields(ImageContract)})


def _statistics(value: Any) -> PixelStatistics | None:
    if value is None:
        return None
    mean, std = (tuple(map(_number, _items(value[name]))) for name in ("mean", "std"))
    if len(mean) != len(std) or len(mean) not in CHANNELS.values() or not np.isfinite(mean + std).all():
        raise ValueError
    appearance = value.get("appearance")
    return PixelStatistics(
        mean=mean, std=std, appearance=None if appearance is None else _appearance(appearance, len(mean))
    )


def _appearance(value: Any, channels: int) -> Appearance:
    def numbers(name: str, count: int) -> tuple[float, ...]:
        found = np.array(list(map(_number, _items(value[name]))), np.float64)
        if found.shape != (count,) or not ((found >= 0) & (found <= 1)).all():
            raise ValueError
        return tuple(found.tolist())

    def limits(name: str) -> dict[str, float]:
        found = {key: _number(limit) for key, limit in value[name].items()}
        if not np.isfinite(list(found.values())).all():
            raise ValueError
        return found

    least_range, least_peak = value["least_range"], value["least_peak"]
    if type(least_range) is not int or type(least_peak) is not int or not 0 <= least_range <= least_peak <= 255:
        raise ValueError
    return Appearance(
        border=numbers("border", VALUE_BINS),
        whole=numbers("whole", VALUE_BINS),
        colours=numbers("colours", COLOUR_BINS if channels > 1 else 0),
        least_range=least_range,
        least_peak=least_peak,
        one=limits("one"),
        several=limits("several"),
    )


def _golden(value: Any, image: ImageContract, classes: int) -> Golden:
    def read(value: Any) -> Golden:
        images = np.frombuffer(binascii.a2b_base64(value["images"], strict_mode=True), np.uint8).reshape(
            -1, *image.shape
        )
        rows = [list(map(_number, _items(row))) for row in _items(value["probabilities"])]
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            probabilities = np.array(rows, np.float32)
        tolerance = _number(value["tolerance"])
        fits = probabilities.shape == (len(images), classes) and len(images) >= 1 and 0 < tolerance < 1
        if not fits or not np.isfinite(probabilities).all():
            raise ValueError
        return Golden(images=images, probabilities=probabilities, tolerance=tolerance)

    shape = "×".join(map(str, image.shape))
    return _read("golden", value, read, f"{shape} images with {classes} probabilities each, and a tolerance")


def _read(name: str, value: Any, reader: Callable[[Any], T], expected: str) -> T:
    try:
        return reader(value)
    except (AttributeError, InputError, KeyError, OverflowError, TypeError, ValueError, binascii.Error):
        _expect(False, PREFIX + name, expected, value)
        raise


def _loads(name: str, text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ArtefactError(f"{name}: expected JSON, found {str(text)[:40]!r}: export it again") from None


def _expect(condition: bool, name: str, expected: str, found: object) -> None:
    if not condition:
        text = repr(found)
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise ArtefactError(f"{name}: expected {expected}, found {shown}: export the artefact again")
