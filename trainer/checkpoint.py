"""The checkpoint: `model.safetensors`, tensors with JSON beside them, and no code. Read and written without torch."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.digest import digest
from runtime.errors import InputError, needs_extra
from runtime.files import check_regular, write_atomic
from runtime.image import ImageContract
from runtime.text import one_line

from .errors import CheckpointError, TrainerError

RUNS = Path("runs")
FILE_NAME = "model.safetensors"
ENTRY = "kit"
STATE = "state."
VERSION = 2
MAX_BYTES = 8 * 2**30


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model with all that an exporter needs.

    weights: float32 [D, K].
    bias: float32 [K].
    mean, std: float32 [C], mean and standard deviation of the training pixels, in units of 0-255.
    golden_images: uint8 [G, H, W, C], held-out images.
    golden_probabilities: float32 [G, K], the trained model's.
    sample_images: uint8 [S, H, W, C], some training images, for calibration and comparison at export.
    labels: K class names, in output order.
    provenance: where the model comes from, JSON.
    progress, state: JSON and tensors from which an unfinished fit resumes; None and empty once it is finished.
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

    def to_bytes(self) -> bytes:
        """Write the checkpoint as safetensors: the same bytes for equal checkpoints."""
        with needs_extra("export", "writing a checkpoint"):
            from safetensors.numpy import save
        description = {
            "version": VERSION,
            "labels": list(self.labels),
            "image": asdict(self.image),
            "provenance": dict(self.provenance),
            "progress": self.progress,
        }
        tensors = {name: getattr(self, name) for name in _shapes(self.image, len(self.labels))}
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
    except (AttributeError, InputError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint that `kit train` wrote, found other content ({error}): train again"
        ) from None


def _checkpoint(description: str | None, tensors: dict[str, NDArray[Any]]) -> Checkpoint:
    if description is None:
        raise ValueError("no description")
    document = json.loads(description)
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']}, this softmax-kit reads {VERSION}")
    json.dumps(document, ensure_ascii=False).encode()  # raises for text, and below for numbers, that no artefact has
    json.dumps(document["provenance"], allow_nan=False)
    labels, image = tuple(document["labels"]), ImageContract(**document["image"])
    if len(labels) < 2 or len(set(labels)) != len(labels) or not all(isinstance(name, str) and name for name in labels):
        raise ValueError("labels that are not at least 2 different names")
    for name, (dtype, shape) in _shapes(image, len(labels)).items():
        found = tensors[name]
        free = shape[0] is None and found.ndim == len(shape)
        if found.dtype != dtype or found.shape[free:] != shape[free:]:
            raise ValueError(f"{name} is {found.dtype} {list(found.shape)}, expected {np.dtype(dtype)} {list(shape)}")
        if not np.isfinite(found).all():
            raise ValueError(f"{name} holds values that are not finite")
    if not (tensors["std"] > 0).all() or not 1 <= len(tensors["golden_images"]) == len(tensors["golden_probabilities"]):
        raise ValueError("std or golden examples out of range")
    if not len(tensors["sample_images"]):
        raise ValueError("no training images")
    fields = {name: tensors[name] for name in _shapes(image, len(labels))}
    return Checkpoint(
        labels=labels,
        image=image,
        provenance=dict(document["provenance"]),
        progress=document["progress"] and dict(document["progress"]),
        state={name.removeprefix(STATE): array for name, array in tensors.items() if name.startswith(STATE)},
        **fields,
    )


def _shapes(image: ImageContract, classes: int) -> dict[str, tuple[type[np.generic], tuple[int | None, ...]]]:
    """Every tensor's dtype and shape; None stands for any length."""
    features = image.height * image.width * image.channels
    return {
        "weights": (np.float32, (features, classes)),
        "bias": (np.float32, (classes,)),
        "mean": (np.float32, (image.channels,)),
        "std": (np.float32, (image.channels,)),
        "golden_images": (np.uint8, (None, *image.shape)),
        "golden_probabilities": (np.float32, (None, classes)),
        "sample_images": (np.uint8, (None, *image.shape)),
    }
