"""The checkpoint: `model.safetensors`, tensors with JSON beside them, and no code. Read and written without torch."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Decision, read_decision
from runtime.digest import digest
from runtime.errors import InputError, needs_extra
from runtime.files import check_regular, write_atomic
from runtime.image import ImageContract
from runtime.text import note, one_line

from .data.features import Features
from .errors import CheckpointError, TrainerError

RUNS = Path("runs")
FILE_NAME = "model.safetensors"
ENTRY = "kit"
STATE = "state."
SCALING, GRAPH = ("centre", "scale"), "features_graph"
FAMILIARITY, LOGITS, TARGETS = "familiarity_graph", "held_out_logits", "held_out_targets"
VERSION, PLAIN_VERSION = 3, 2
MAX_BYTES = 8 * 2**30

Shape: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model with all that an exporter needs.

    weights: float32 [D, K], for features that are centred and scaled.
    bias: float32 [K].
    mean, std: float32 [C], mean and standard deviation of the training pixels, in units of 0-255.
    centre, scale: float32 [D], what is subtracted from each feature, and what it is divided by then; None for the mean
        and std of its channel, and for 0 and 1 where the features are a graph's.
    features: the graph whose output the features are; None where they are the pixels.
    golden_images: uint8 [G, H, W, C], held-out images.
    golden_probabilities: float32 [G, K], the trained model's.
    sample_images: uint8 [S, H, W, C], some training images, for calibration and comparison at export.
    labels: K class names, in output order.
    provenance: where the model comes from, JSON.
    progress, state: JSON and tensors from which an unfinished fit resumes; None and empty once it is finished.
    decision: temperature, bias and thresholds that were found after the fit, which does not see them; None for none.
    familiarity: uint8 [B], an ONNX file from `images`, or from `features` where these are a network's, to
        `familiarity`, float32 [N]; None for none.
    held_out_logits, held_out_targets: float32 [H, K] and int64 [H], of the images that the decision was found on,
        before calibration; None for none.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    golden_images: NDArray[np.uint8]
    golden_probabilities: NDArray[np.float32]
    sample_images: NDArray[np.uint8]
    labels: tuple[str, ...]
    image: ImageContract
    provenance: Mapping[str, Any]
    progress: Mapping[str, Any] | None = None
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    centre: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    features: Features | None = None
    decision: Decision | None = None
    familiarity: NDArray[np.uint8] | None = None
    held_out_logits: NDArray[np.float32] | None = None
    held_out_targets: NDArray[np.int64] | None = None

    @property
    def version(self) -> int:
        """The oldest version of the file that has all of it."""
        later = self.centre is not None or self.features or self.decision or not self.image.is_plain
        return VERSION if later else PLAIN_VERSION

    def scaling(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return centre and scale, float64 [D] each, laid out feature by feature."""
        if self.centre is not None and self.scale is not None:
            return self.centre.astype(np.float64), self.scale.astype(np.float64)
        if self.features:
            return np.zeros(self.features.size), np.ones(self.features.size)
        pixels = self.image.height * self.image.width
        return np.tile(self.mean.astype(np.float64), pixels), np.tile(self.std.astype(np.float64), pixels)

    def logits(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Compute the logits of the fit, before calibration, of pixels or features [N, ...]: float64 [N, K]."""
        centre, scale = self.scaling()
        centred = features.reshape(len(features), -1).astype(np.float64) - centre
        return np.asarray(centred / scale @ self.weights.astype(np.float64) + self.bias)

    def calibration(self) -> tuple[float, NDArray[np.float64]]:
        """Return the temperature that logits are divided by, and the bias, float64 [K], that is added to them then."""
        found = self.decision or Decision()
        bias = np.zeros(len(self.labels)) if found.bias is None else np.array(found.bias, np.float64)
        return found.temperature, bias

    def to_bytes(self) -> bytes:
        """Write the checkpoint as safetensors: the same bytes for equal checkpoints."""
        with needs_extra("export", "writing a checkpoint"):
            from safetensors.numpy import save
        description = {
            "version": self.version,
            "labels": list(self.labels),
            "image": self.image.to_json(),
            "provenance": dict(self.provenance),
            "progress": self.progress,
        }
        tensors = {name: getattr(self, name) for name in _shapes(self.image, len(self.labels), len(self.weights))}
        tensors |= {name: getattr(self, name) for name in SCALING if getattr(self, name) is not None}
        if self.features:
            about = {"name": self.features.name, "size": self.features.size, "about": dict(self.features.about)}
            description["features"], tensors[GRAPH] = about, self.features.graph
        if self.decision:
            description["decision"] = self.decision.to_json()
        found = {FAMILIARITY: self.familiarity, LOGITS: self.held_out_logits, TARGETS: self.held_out_targets}
        tensors |= {name: array for name, array in found.items() if array is not None}
        tensors |= {STATE + name: array for name, array in self.state.items()}
        tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        return bytes(save(tensors, {ENTRY: json.dumps(description, ensure_ascii=False, sort_keys=True)}))

    def digest(self) -> str:
        """sha256 of the checkpoint's bytes."""
        return digest(self.to_bytes())


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint in place of whatever was at `path`, whole or not at all. Raises TrainerError."""
    write_atomic(Path(path), checkpoint.to_bytes(), TrainerError)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save_checkpoint` wrote. Never runs code from the file. Raises CheckpointError."""
    with needs_extra("export", "reading a checkpoint"):
        from safetensors import SafetensorError, safe_open
    try:
        check_regular(path, "a checkpoint", CheckpointError, limit=MAX_BYTES)
        with safe_open(path, framework="numpy") as file:
            description = (file.metadata() or {}).get(ENTRY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise CheckpointError(f"{path}: expected a checkpoint, found no such file: make one with `kit train`") from None
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint ({FILE_NAME}), found a file that is not a valid one ({one_line(error)}): "
            "make one with `kit train`"
        ) from None
    try:
        return _checkpoint(description, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (AttributeError, InputError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint that `kit train` wrote, found other content ({error}): train again"
        ) from None


def checkpoint_path(given: Path | None, doing: str) -> Path:
    """Return the checkpoint that a command is to work on: the one named, a run's, or that of the newest run.

    doing: for the note on which run it is.
    Raises CheckpointError where none is named and there is none.
    """
    if given is not None:
        folder = os.path.isdir(given)  # noqa: PTH112 - Path raises for a name that is too long
        return given / FILE_NAME if folder else given
    runs = sorted(RUNS.glob(f"*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    if not runs:
        raise CheckpointError(f"expected a run under {RUNS}/, found none: `kit train` makes one, or name a checkpoint")
    note(f"{doing} {runs[-1]}")
    return runs[-1]


def _checkpoint(description: str | None, tensors: dict[str, NDArray[Any]]) -> Checkpoint:
    if description is None:
        raise ValueError("no description")
    document = json.loads(description)
    version = document["version"]
    if type(version) is not int or version < PLAIN_VERSION:
        raise ValueError(f"version {version!r}, this softmax-kit reads {PLAIN_VERSION} and {VERSION}")
    if version > VERSION:
        raise CheckpointError(
            f"expected a checkpoint of version {VERSION} or older, found {version}: upgrade softmax-kit here"
        )
    json.dumps(document, ensure_ascii=False).encode()  # raises for text, and below for numbers, that no artefact has
    json.dumps(document["provenance"], allow_nan=False)
    labels, image = tuple(document["labels"]), ImageContract.from_json(document["image"], plain=version < VERSION)
    if len(labels) < 2 or len(set(labels)) != len(labels) or not all(isinstance(name, str) and name for name in labels):
        raise ValueError("labels that are not at least 2 different names")
    later = _later(document, tensors, labels) if version == VERSION else {}
    features = later.get("features")
    shapes = _shapes(image, len(labels), features.size if features else prod(image.shape))
    shapes |= {name: (np.float32, shapes["weights"][1][:1]) for name in SCALING if name in later}
    _check_tensors(shapes, tensors)
    return Checkpoint(
        labels=labels,
        image=image,
        provenance=dict(document["provenance"]),
        progress=document["progress"] and dict(document["progress"]),
        state={name.removeprefix(STATE): array for name, array in tensors.items() if name.startswith(STATE)},
        **{**{name: tensors[name] for name in shapes}, **later},
    )


def _later(document: Mapping[str, Any], tensors: dict[str, NDArray[Any]], labels: tuple[str, ...]) -> dict[str, Any]:
    """Read what version 2 does not have, as far as it is there."""
    found: dict[str, Any] = {}
    if any(name in tensors for name in SCALING):
        found = {name: tensors[name] for name in SCALING}
    if "features" in document:
        about, graph = document["features"], _bytes(GRAPH, tensors)
        json.dumps(about, allow_nan=False)
        name, size = about["name"], about["size"]
        if not isinstance(name, str) or not name or type(size) is not int or size < 1:
            raise ValueError(f"features of name {name!r} and size {size!r}")
        found["features"] = Features(name, size, graph, dict(about["about"]))
    if FAMILIARITY in tensors:
        found["familiarity"] = _bytes(FAMILIARITY, tensors)
    if "decision" in document:
        outputs = ("familiarity",) if FAMILIARITY in tensors else ()
        found["decision"] = read_decision(document["decision"], labels, outputs)
    if LOGITS in tensors:
        found |= {LOGITS: tensors[LOGITS], TARGETS: tensors[TARGETS]}
        _check_held_out(tensors[LOGITS], tensors[TARGETS], len(labels))
    return found


def _bytes(name: str, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Return the content of a file. Raises ValueError."""
    found = tensors[name]
    if found.dtype != np.uint8 or found.ndim != 1 or not found.size:
        raise ValueError(f"{name} is {found.dtype} {list(found.shape)}, expected uint8 [B]")
    return found


def _check_held_out(logits: NDArray[Any], targets: NDArray[Any], classes: int) -> None:
    if logits.dtype != np.float32 or logits.shape[1:] != (classes,) or not np.isfinite(logits).all():
        raise ValueError(f"{LOGITS} is {logits.dtype} {list(logits.shape)}, expected finite float32 [H, {classes}]")
    known = targets.dtype == np.int64 and targets.shape == logits.shape[:1] and len(targets) > 0
    if not known or targets.min() < 0 or targets.max() >= classes:
        raise ValueError(f"{TARGETS} is {targets.dtype} {list(targets.shape)}, expected int64 [H] of classes")


def _check_tensors(shapes: Mapping[str, tuple[type[np.generic], Shape]], tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError for tensors of another type, shape or range."""
    for name, (dtype, shape) in shapes.items():
        found = tensors[name]
        free = shape[0] is None and found.ndim == len(shape)
        if found.dtype != dtype or found.shape[free:] != shape[free:]:
            raise ValueError(f"{name} is {found.dtype} {list(found.shape)}, expected {np.dtype(dtype)} {list(shape)}")
        if not np.isfinite(found).all():
            raise ValueError(f"{name} holds values that are not finite")
    if not all((tensors[name] > 0).all() for name in ("std", "scale") if name in shapes):
        raise ValueError("std or scale that is not above 0")
    if not 1 <= len(tensors["golden_images"]) == len(tensors["golden_probabilities"]):
        raise ValueError("golden examples out of range")
    if not len(tensors["sample_images"]):
        raise ValueError("no training images")


def _shapes(image: ImageContract, classes: int, features: int) -> dict[str, tuple[type[np.generic], Shape]]:
    """Return the dtype and shape of every tensor that each checkpoint has; None stands for any length."""
    return {
        "weights": (np.float32, (features, classes)),
        "bias": (np.float32, (classes,)),
        "mean": (np.float32, (image.channels,)),
        "std": (np.float32, (image.channels,)),
        "golden_images": (np.uint8, (None, *image.shape)),
        "golden_probabilities": (np.float32, (None, classes)),
        "sample_images": (np.uint8, (None, *image.shape)),
    }
