"""A user's module made ready for export: what goes into the file, and the answers in float64 to hold the file to."""

import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from runtime.artefact import Metadata, dumps, from_json
from runtime.errors import KitError
from runtime.golden import Golden
from runtime.image import ImageContract, Pixels
from runtime.pixel_statistics import PixelStatistics

from .appearance import pixel_statistics
from .errors import ExportError
from .exporting import gate_for
from .formats import FLOAT_TOLERANCE
from .gate.parity import Answer, Gate, Probabilities, Probes, probes
from .module_copy import checked_module, copied
from .module_outputs import OUTPUTS, check_logits, check_outputs, check_probabilities, may_be_probabilities
from .raw_pixels import RawPixels, described, run_in_float64

EXAMPLES = 2  # random golden examples; the file carries them
RANDOM_IMAGES = 32  # to compare on; a network in float64 is slow
ENLARGED = 1e6  # times the value of a pixel: a sigmoid gives 0 to 1 for these too, most other modules do not


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module to export.

    single: the module on raw pixels, in float32, with probabilities as outputs.
    trained: its probabilities, in float64.
    metadata: of the artefact.
    probes: images to compare on.
    gate: the limits of the comparison.
    """

    single: torch.nn.Module
    trained: Answer
    metadata: Metadata
    probes: Probes
    gate: Gate


def subject_of(
    module: torch.nn.Module,
    *,
    labels: Sequence[str],
    image: ImageContract,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    examples: Pixels | None = None,
    provenance: Mapping[str, Any] | None = None,
    tolerance: float = FLOAT_TOLERANCE,
    outputs: str | None = None,
) -> Subject:
    """Copy the module, run the copies on the examples, and check settings and outputs."""
    gate = gate_for(tolerance)
    if outputs not in (None, *OUTPUTS):
        raise ExportError(f"expected outputs of {' or '.join(map(repr, OUTPUTS))}, found {outputs!r}: give one of them")
    channels = _channels(image, mean, std)
    golden = _random_images(image) if examples is None else _checked(examples, image)
    images = probes(image, golden, random=RANDOM_IMAGES)
    plain = checked_module(module)
    _try_out(_on_pixels(plain, channels, torch.float32), golden, len(labels))
    exact = _on_pixels(plain, channels, torch.float64)
    last = torch.nn.Identity() if outputs == "probabilities" else torch.nn.Softmax(dim=1)
    with explained(
        "computes in float64 too, for the reference",
        "let it compute in the dtype of its input, or export it as it was before it was quantised",
    ):
        found = run_in_float64(exact, golden)
        _check_kind(found, exact, images, outputs, tolerance)
    probabilities = last(torch.from_numpy(found)).numpy()
    _check_finite(probabilities, images.names, plain)
    metadata = Metadata(
        labels=tuple(labels),
        image=image,
        pixel_statistics=None if examples is None else _statistics(golden),
        golden=Golden(images=golden, probabilities=probabilities.astype(np.float32), tolerance=tolerance),
        provenance=_as_json({"module": type(plain).__name__, **(provenance or {})}),
    )
    from_json(metadata.to_json())  # raises what a reader of the file would raise
    return Subject(
        single=torch.nn.Sequential(_on_pixels(plain, channels, torch.float32), last).eval(),
        trained=partial(run_in_float64, torch.nn.Sequential(exact, last).eval()),
        metadata=metadata,
        probes=images,
        gate=gate,
    )


def _on_pixels(module: torch.nn.Module, channels: Sequence[torch.Tensor], dtype: torch.dtype) -> RawPixels:
    """Return a copy of the module in `dtype`, on raw pixels."""
    mean, std = (values.to(dtype) for values in channels)
    return RawPixels(copied(module, dtype), mean, std).eval()


def _try_out(module: torch.nn.Module, images: Pixels, labels: int) -> None:
    """Run the module in float32 on batches of several sizes. Raises ExportError where it fails, or gives no logits."""
    failed: dict[int, Exception] = {}
    sizes = list(dict.fromkeys((len(images), 1, 3)))
    for size in sizes:
        batch = torch.from_numpy(np.resize(images, (size, *images.shape[1:])))
        try:
            with torch.inference_mode(), _quiet():
                found = module(batch)
        except Exception as error:  # users' code raises anything
            failed[size] = error
        else:
            check_outputs(found, size, labels)
    if not failed:
        return
    reason = next(iter(failed.values()))
    shape = ", ".join(str(images.shape[axis]) for axis in (3, 1, 2))
    if len(failed) < len(sizes):
        raise ExportError(
            f"expected a module for any batch size, found one that fails for {' and '.join(map(str, failed))} images "
            f"({described(reason)}): let nothing in it depend on the batch size, x.flatten(1) not x.reshape(2, -1)"
        ) from reason
    raise ExportError(
        f"expected a module that takes images [N, {shape}] in float32, found one that fails ({described(reason)}): "
        "give its size and colour in image=, and let it take images alone"
    ) from reason


def _check_kind(found: Probabilities, exact: RawPixels, images: Probes, outputs: str | None, tolerance: float) -> None:
    """Check that a module gives what `outputs` says: on all images, unless the golden examples leave no doubt.

    found: its outputs for the golden examples, [G, K].
    """
    if outputs == "probabilities":
        check_probabilities(run_in_float64(exact, images.images), images.names, tolerance)
    elif may_be_probabilities(found):
        enlarged = RawPixels(exact.module, exact.mean.flatten(), exact.std.flatten() / ENLARGED)
        check_logits(
            run_in_float64(exact, images.images),
            partial(run_in_float64, enlarged, images.images) if outputs is None else None,
        )


def _check_finite(probabilities: Probabilities, names: Sequence[str], module: torch.nn.Module) -> None:
    """Raise ExportError for probabilities of golden examples that are not finite."""
    wrong = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if not len(wrong):
        return
    tensors = [*module.named_parameters(), *module.named_buffers()]
    broken = [name for name, values in tensors if not values.isfinite().all()]
    cause = f", and in its {broken[0]!r}" if broken else ""
    advice = "load or train it again" if broken else "look for a division by 0 or an overflow in it"
    raise ExportError(f"expected finite outputs, found NaN or infinity for {names[wrong[0]]}{cause}: {advice}")


def _channels(image: ImageContract, mean: Sequence[float], std: Sequence[float]) -> list[torch.Tensor]:
    """Return mean and std, each float64 [C], or [1] for all channels. Raises ExportError."""
    found = [np.asarray(values, np.float64) for values in (mean, std)]
    shapes = {(1,), (image.channels,)}
    if not all(values.shape in shapes and np.isfinite(values).all() for values in found) or not (found[1] > 0).all():
        raise ExportError(
            f"expected mean and std of {image.channels} finite numbers, std above 0, found {found[0].tolist()} and "
            f"{found[1].tolist()}: give one a channel, for pixels from 0 to 1"
        )
    return [torch.from_numpy(values) for values in found]


def _checked(examples: Pixels, image: ImageContract) -> Pixels:
    found = np.asarray(examples)
    if found.dtype != np.uint8 or found.shape[1:] != image.shape or not len(found):
        raise ExportError(
            f"expected examples of uint8 [G, {', '.join(map(str, image.shape))}], at least one, "
            f"found {found.dtype} {list(found.shape)}: pass raw pixels of the model's size"
        )
    return found


def _as_json(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance as it reads back from the file. Raises ExportError."""
    try:
        return dict(json.loads(dumps(provenance)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ExportError(f"expected a provenance that is JSON, found one that is not: {error}") from None


def _random_images(image: ImageContract) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (EXAMPLES, *image.shape), np.uint8)


def _statistics(images: Pixels) -> PixelStatistics:
    return pixel_statistics(images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2)), images)


@contextmanager
def explained(expected: str, advice: str) -> Iterator[None]:
    """Raise an error of torch or the module as an ExportError, and silence warnings: the file is checked anyway."""
    try:
        with _quiet():
            yield
    except KitError:
        raise
    except Exception as error:  # torch's exporters raise many types
        raise ExportError(
            f"expected a module that {expected}, found one that fails ({described(error)}): {advice}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
