"""The metadata inside an artefact, beside its graph: its definition, writing it as JSON, reading and validating it.

Every format holds the same entries: ONNX as `metadata_props` named `kit.<entry>`, each a JSON text; TorchScript as one
JSON object in `_extra_files["kit.json"]`. None of them depends on when or where it was written. Files for onnxruntime
also carry a seal, a digest of all their content. A file has the version of what it uses: 1.1 unless it needs 2.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import pixel_statistics
from .entries import PREFIX, base64, check, data, distinct, expect, items, read, text
from .errors import ArtefactError
from .golden import RAW, Golden, read_golden
from .image import ImageContract, Pixels
from .origin import raised_by
from .pixel_statistics import PixelStatistics, read_statistics
from .seal import EMPTY_SEAL

if TYPE_CHECKING:
    from .decision import Decision

VERSION, PLAIN_VERSION = "2.0", "1.1"
INPUT, OUTPUT = "images", "probabilities"
FEATURES, FAMILIARITY = "features", "familiarity"  # optional outputs
EXTRA_FILE = "kit.json"
SEAL = "seal"
ENTRIES = ("version", "labels", "image", "pixel_statistics", "golden", "provenance")
OPTIONAL = ("centre", "outputs", "decision", "licences")  # since 2.0


class Metadata(NamedTuple):
    """All that an artefact carries beside its graph.

    labels: K different class names in output order.
    image: how any image becomes the model's input.
    pixel_statistics: None where the training images are not known.
    golden: the examples of the self-test.
    provenance: data set, counts, final figures, settings, versions, checkpoint digest; free-form JSON.
    centre: uint8 [C] or [H, W, C], what the graph subtracts from the pixels first; None for nothing.
    outputs: names of the graph's outputs after the probabilities.
    decision: what an answer is accepted by; None where nothing is known.
    licences: of what went into the file, and of what it is: `part`, `licence`, an SPDX identifier, and free-form JSON.
    others: entries of a later version, by their names.
    """

    labels: tuple[str, ...]
    image: ImageContract
    pixel_statistics: PixelStatistics | None
    golden: Golden
    provenance: Mapping[str, Any]
    centre: Pixels | None = None
    outputs: tuple[str, ...] = ()
    decision: Decision | None = None
    licences: tuple[Mapping[str, Any], ...] = ()
    others: Mapping[str, Any] = MappingProxyType({})

    @property
    def version(self) -> str:
        """The oldest version of the format that has all of it."""
        plain = self.image.is_plain and self.golden.encoding == RAW and not self._optional()
        return PLAIN_VERSION if plain else VERSION

    @property
    def has_familiarity(self) -> bool:
        """Whether there is a threshold for the output `familiarity`."""
        return self.decision is not None and self.decision.familiarity is not None

    def to_json(self) -> dict[str, Any]:
        """Return the entries as JSON values, by name, in the order of ENTRIES, and the others after them."""
        return {
            "version": self.version,
            "labels": list(self.labels),
            "image": self.image.to_json(),
            "pixel_statistics": self.pixel_statistics and self.pixel_statistics.to_json(),
            "golden": self.golden.to_json(),
            "provenance": dict(self.provenance),
            **self._optional(),
            **self.others,
        }

    def _optional(self) -> dict[str, Any]:
        """Return the entries of OPTIONAL that the artefact has, as JSON values."""
        found = {
            "centre": None if self.centre is None else base64(self.centre.tobytes()),
            "outputs": list(self.outputs) or None,
            "decision": self.decision and self.decision.to_json(),
            "licences": list(map(dict, self.licences)) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

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


def from_text(document: str | bytes) -> Metadata:
    """Read the JSON object that `to_json` gave, written as text. Raises ArtefactError."""
    found = _loads(EXTRA_FILE, document)
    expect(isinstance(found, dict), EXTRA_FILE, "an object", found)
    return from_json(found)


def from_json(document: Mapping[str, Any]) -> Metadata:
    """Read and validate the entries that `Metadata.to_json` gave. Raises ArtefactError."""
    major = _major(document["version"]) if "version" in document else None
    missing = [PREFIX + name for name in ENTRIES if name not in document]
    if major is None or missing:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, found a file without {', '.join(missing)}: export it again"
        )
    labels = read("labels", document["labels"], _labels, "at least 2 different, non-empty strings")
    contract = f"height, width, color, fit{', fill, shift' if major > 1 else ''} and filter that this version knows"
    image = read("image", document["image"], partial(ImageContract.from_json, plain=major < 2), contract)
    statistics = read("pixel_statistics", document["pixel_statistics"], read_statistics, pixel_statistics.EXPECTED)
    expect(
        not statistics or len(statistics.mean) == image.channels,
        PREFIX + "pixel_statistics",
        f"{image.channels} channels",
        statistics,
    )
    shape = "×".join(map(str, image.shape))
    golden = read(
        "golden",
        document["golden"],
        partial(read_golden, image=image, classes=len(labels), encoded=major > 1),
        f"{shape} images with {len(labels)} probabilities each, and a tolerance",
    )
    provenance = document["provenance"]
    expect(isinstance(provenance, dict), PREFIX + "provenance", "an object", provenance)
    known = (*ENTRIES, *OPTIONAL) if major > 1 else ENTRIES
    return Metadata(
        labels=labels,
        image=image,
        pixel_statistics=statistics,
        golden=golden,
        provenance=provenance,
        **(_read_optional(document, labels, image) if major > 1 else {}),
        others={name: value for name, value in document.items() if name not in known},
    )


def _read_optional(document: Mapping[str, Any], labels: tuple[str, ...], image: ImageContract) -> dict[str, Any]:
    """Read the entries of OPTIONAL that are there."""
    found: dict[str, Any] = {}
    if "centre" in document:
        height, width, channels = image.shape
        bytes_ = f"{channels} or {height * width * channels} bytes in base64"
        found["centre"] = read("centre", document["centre"], partial(_centre, shape=image.shape), bytes_)
    if "outputs" in document:
        names = f"one or more different names other than {OUTPUT}"
        found["outputs"] = read("outputs", document["outputs"], _outputs, names)
    if "decision" in document:
        from .decision import EXPECTED, read_decision  # here, as most files have none

        reader = partial(read_decision, labels=labels, outputs=found.get("outputs", ()))
        found["decision"] = read("decision", document["decision"], reader, EXPECTED)
    if "licences" in document:
        parts = "one or more objects with a part and its licence"
        found["licences"] = read("licences", document["licences"], _licences, parts)
    return found


def _major(version: object) -> int:
    """Return the major version, which this module knows."""
    known = VERSION.partition(".")[0]
    found = re.fullmatch(r"([1-9][0-9]{0,8})\.([0-9]{1,9})", version) if isinstance(version, str) else None
    expect(found is not None, PREFIX + "version", "MAJOR.MINOR", version)
    major = int(found[1]) if found else 0
    if major > int(known):
        raise ArtefactError(
            f"expected an artefact of format {known}.x or older, found {version}: upgrade softmax-kit here, "
            "or train and export with an older one"
        )
    return major


def _labels(value: Any) -> tuple[str, ...]:
    labels = distinct(list(map(text, items(value))))
    check(len(labels) >= 2)
    return labels


def _centre(value: Any, shape: tuple[int, int, int]) -> Pixels:
    found = np.frombuffer(data(value), np.uint8)
    return found if len(found) == shape[2] else found.reshape(shape)


def _outputs(value: Any) -> tuple[str, ...]:
    names = distinct(list(map(text, items(value))))
    check(names and OUTPUT not in names)
    return names


def _licences(value: Any) -> tuple[Mapping[str, Any], ...]:
    found = tuple(dict(part) | {name: text(part[name]) for name in ("part", "licence")} for part in items(value))
    check(found)
    return found


def _loads(name: str, document: str | bytes) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as error:
        if not raised_by(error):
            raise
        raise ArtefactError(f"{name}: expected JSON, found {str(document)[:40]!r}: export it again") from None
