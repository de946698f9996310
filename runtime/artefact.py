"""What goes with the graph inside an artefact: definition, writing as JSON, reading and validating.

The same six entries travel in every format: in ONNX as `metadata_props` named `kit.<entry>`, each a JSON text; in
TorchScript as one JSON object in `_extra_files["kit.json"]`. Nothing in them depends on when or where they were
written.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import ArtefactError, InputError
from .image import CHANNELS, ImageContract, Pixels

VERSION = "1.0"
INPUT, OUTPUT = "images", "probabilities"
EXTRA_FILE = "kit.json"
PREFIX = "kit."
ENTRIES = ("version", "labels", "image", "pixel_statistics", "golden", "provenance")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Mean and standard deviation of the training pixels, one value a channel, in units of 0-255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Held-out images with the trained model's answers.

    images: uint8 [G, H, W, C]. probabilities: float32 [G, K]. tolerance: the largest difference in probability that
    the artefact may show.
    """

    images: Pixels
    probabilities: NDArray[np.float32]
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """All that an artefact carries beside its graph.

    labels: K different class names in output order. pixel_statistics: None where the training images are not known.
    provenance: data set, counts, final figures, settings, versions, checkpoint digest; free-form JSON. others: entries
    by names that this version does not know, as a later one wrote them.
    """

    labels: tuple[str, ...]
    image: ImageContract
    pixel_statistics: PixelStatistics | None
    golden: Golden
    provenance: Mapping[str, Any]
    others: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entries as JSON values, by name, in the order of ENTRIES, and the others after them."""
        golden = {
            "images": base64.b64encode(self.golden.images.tobytes()).decode("ascii"),
            "probabilities": [[float(f"{p:.9g}") for p in row] for row in self.golden.probabilities],
            "tolerance": self.golden.tolerance,
        }
        return {
            "version": VERSION,
            "labels": list(self.labels),
            "image": asdict(self.image),
            "pixel_statistics": self.pixel_statistics and asdict(self.pixel_statistics),
            "golden": golden,
            "provenance": dict(self.provenance),
            **self.others,
        }

    def to_props(self) -> dict[str, str]:
        """Return the entries as ONNX metadata properties: `kit.<entry>` → JSON text."""
        return {PREFIX + name: dumps(value) for name, value in self.to_json().items()}


def dumps(value: object) -> str:
    """Write JSON that is the same text for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def from_props(props: Mapping[str, str]) -> Metadata:
    """Read what `Metadata.to_props` wrote. Raises ArtefactError."""
    names = [key.removeprefix(PREFIX) for key in props if key.startswith(PREFIX)]
    return from_json({name: _loads(PREFIX + name, props[PREFIX + name]) for name in sorted(names)})


def from_text(text: str | bytes) -> Metadata:
    """Read the JSON object that `to_json` gave, written as text. Raises ArtefactError."""
    document = _loads(EXTRA_FILE, text)
    _expect(isinstance(document, dict), EXTRA_FILE, "an object", document)
    return from_json(document)


def from_json(document: Mapping[str, Any]) -> Metadata:
    """Read and validate the entries that `Metadata.to_json` gave. Raises ArtefactError."""
    missing = [PREFIX + name for name in ENTRIES if name not in document]
    if missing:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, found a file without {', '.join(missing)}: export it again"
        )
    _check_version(document["version"])
    labels = _read("labels", document["labels"], _labels, "at least 2 different, non-empty strings")
    image = _read("image", document["image"], _image, "height, width, color, fit and filter that this version knows")
    statistics = _read(
        "pixel_statistics", document["pixel_statistics"], _statistics, "mean and std, a finite number a channel"
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
    number, _, minor = str(version).partition(".")
    _expect(number.isdecimal() and minor.isdecimal(), PREFIX + "version", "MAJOR.MINOR", version)
    if int(number) > int(known):
        raise ArtefactError(
            f"expected an artefact of format {known}.x, found {version}: upgrade softmax-kit here, "
            "or export with an older one"
        )


def _labels(value: Any) -> tuple[str, ...]:
    if len(value) < 2 or len(set(value)) != len(value) or not all(isinstance(label, str) and label for label in value):
        raise ValueError
    return tuple(value)


def _image(value: Any) -> ImageContract:
    return ImageContract(**{part.name: value[part.name] for part in fields(ImageContract)})


def _statistics(value: Any) -> PixelStatistics | None:
    if value is None:
        return None
    mean, std = (tuple(float(number) for number in value[name]) for name in ("mean", "std"))
    if len(mean) != len(std) or len(mean) not in CHANNELS.values() or not np.isfinite(mean + std).all():
        raise ValueError
    return PixelStatistics(mean=mean, std=std)


def _golden(value: Any, image: ImageContract, classes: int) -> Golden:
    def read(value: Any) -> Golden:
        images = np.frombuffer(base64.b64decode(value["images"], validate=True), np.uint8).reshape(-1, *image.shape)
        probabilities = np.asarray(value["probabilities"], np.float32).reshape(-1, classes)
        tolerance = float(value["tolerance"])
        if not 1 <= len(images) == len(probabilities) or not np.isfinite(probabilities).all() or not 0 < tolerance < 1:
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
