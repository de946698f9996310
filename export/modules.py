"""Any classifier that is a `torch.nn.Module`, exported through the same gate as the kit's own.

```python
from export import to_onnx
from runtime import ImageContract

network = torchvision.models.mobilenet_v3_small(num_classes=3)
to_onnx(network, "model.onnx", labels=["cat", "dog", "owl"], image=ImageContract(height=96, width=96, color="RGB"))
```
"""

import copy
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import numpy as np
import torch

from runtime.artefact import INPUT, OUTPUT, Metadata, dumps, from_json
from runtime.errors import KitError, needs_extra
from runtime.golden import Golden
from runtime.image import ImageContract, Pixels
from runtime.pixel_statistics import PixelStatistics
from runtime.seal import seal
from runtime.text import one_line

from .appearance import pixel_statistics
from .errors import ExportError
from .exporting import ExportReport, gate_for, report, written
from .formats import FLOAT_TOLERANCE
from .formats import onnx as onnx_format
from .formats import torchscript as torchscript_format
from .formats.compatibility import Target
from .formats.target import target_for
from .gate.parity import Artefact, check_parity, probes
from .raw_pixels import RawPixels, run

OPSET = 18  # the oldest that torch's exporter writes
EXAMPLES = 2  # random golden examples; the file carries them
RANDOM_IMAGES = 32  # to compare on; a network in float64 is slow
OF_THE_SOURCE = ("metadata_props", "doc_string")


class About(TypedDict, total=False):
    """Settings of an export that the module itself does not hold.

    labels: the K class names, in output order.
    image: size and colour of the module's images, and how to resize others.
    mean, std: one number a channel, or one for all; the module's input is (pixel / 255 − mean) / std, by default
        pixel / 255.
    examples: uint8 [G, H, W, C], a few real images as golden examples; by default random ones.
    provenance: more about the model, as JSON.
    tolerance: largest difference in probability allowed, by default 1e-5.
    """

    labels: Required[Sequence[str]]
    image: Required[ImageContract]
    mean: Sequence[float]
    std: Sequence[float]
    examples: Pixels
    provenance: Mapping[str, Any]
    tolerance: float


def to_onnx(
    module: torch.nn.Module,
    path: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    target_ort: str | None = None,
    **about: Unpack[About],
) -> ExportReport:
    """Write a module as an ONNX artefact, if the written file predicts what the module predicts in float64.

    module: float32 [N, C, H, W] → logits [N, K], for images of the size in `image`; it is not changed.
    opset: ONNX opset version, 18 or newer.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15".
    about: the fields of `About`.
    Raises ParityError, ArtefactError for labels or other metadata that are not valid, and ExportError where torch
    cannot export the module.
    """
    target = target_for("onnx", opset, target_ort)
    if target.opset < OPSET:
        raise ExportError(
            f"expected an opset from {OPSET}, the oldest that torch's exporter writes, found {target.opset}: "
            "leave it out, every onnxruntime since 1.15 loads that one"
        )
    subject = _subject(module, **about)
    image = subject.metadata.image
    with _explained("torch.onnx.export can write", "change the module, or use to_torchscript"):
        with needs_extra("train", "exporting a module to ONNX"):
            program: Any = torch.onnx.export(
                subject.single,
                (torch.zeros((2, *image.shape), dtype=torch.uint8),),
                dynamo=True,
                external_data=False,
                verbose=False,
                opset_version=target.opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("N")},),
            )
        model = program.model_proto
        _check_asked(model, target)
        _forget_source(model)
        del model.graph.value_info[:]
        model.producer_version = ""
        data = seal(onnx_format.finish(model, subject.metadata, target))
    return _export("onnx", Path(path), subject, data, onnx_format.open_artefact)


def to_torchscript(module: torch.nn.Module, path: str | os.PathLike[str], **about: Unpack[About]) -> ExportReport:
    """Write a module as a TorchScript artefact; torch.jit has to be able to script it. The rest is as for `to_onnx`."""
    subject = _subject(module, **about)
    with _explained("torch.jit.script can read", "change the module, or use to_onnx"):
        data = torchscript_format.save(subject.single, subject.metadata)
    return _export("torchscript", Path(path), subject, data, torchscript_format.open_artefact)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A module to export.

    single, exact: the module on raw pixels, in float32 and in float64.
    metadata: of the artefact.
    """

    single: RawPixels
    exact: RawPixels
    metadata: Metadata


def _subject(
    module: torch.nn.Module,
    *,
    labels: Sequence[str],
    image: ImageContract,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    examples: Pixels | None = None,
    provenance: Mapping[str, Any] | None = None,
    tolerance: float = FLOAT_TOLERANCE,
) -> _Subject:
    """Wrap copies of the module, run it on the examples, and check the settings."""
    gate_for(tolerance)
    channels = _channels(image, mean, std)
    golden = _random_images(image) if examples is None else _checked(examples, image)
    with _explained(
        f"takes images [N, {image.channels}, {image.height}, {image.width}], in float32 as in float64",
        "give its size and colour in image=, and let it compute in the dtype of its input",
    ):
        single = RawPixels(copy.deepcopy(module).cpu().float(), *(values.float() for values in channels)).eval()
        exact = RawPixels(copy.deepcopy(module).cpu().double(), *channels).eval()
        probabilities = run(exact, golden)
    if probabilities.shape != (len(golden), len(labels)):
        raise ExportError(
            f"expected logits [{len(golden)}, {len(labels)}] for {len(golden)} images and {len(labels)} labels, found "
            f"{list(probabilities.shape)}: give a label for every output"
        )
    metadata = Metadata(
        labels=tuple(labels),
        image=image,
        pixel_statistics=None if examples is None else _statistics(golden),
        golden=Golden(images=golden, probabilities=probabilities.astype(np.float32), tolerance=tolerance),
        provenance=_as_json({"module": type(module).__name__, **(provenance or {})}),
    )
    from_json(metadata.to_json())  # raises what a reader of the file would raise
    return _Subject(single=single, exact=exact, metadata=metadata)


def _export(
    format: str,  # noqa: A002 - the word that users know
    path: Path,
    subject: _Subject,
    data: bytes,
    open_artefact: Callable[[Path], Artefact],
) -> ExportReport:
    metadata = subject.metadata
    gate = gate_for(metadata.golden.tolerance)
    images = probes(metadata.image, metadata.golden.images, random=RANDOM_IMAGES)
    with written(path, data, open_artefact) as artefact:
        parity = check_parity(artefact, metadata, images, partial(run, subject.exact), gate)
    return report(format, path, data, parity=parity, tolerance=gate.tolerance)


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


def _check_asked(model: Any, target: Target) -> None:
    """Raise ExportError for another opset or a fixed batch size: torch falls back to these without an error."""
    opset = next(item.version for item in model.opset_import if not item.domain)
    if opset != target.opset:
        raise ExportError(f"expected opset {target.opset}, found that torch writes this module in {opset}: choose that")
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    if not batch.dim_param:
        raise ExportError(
            f"expected a module for any batch size, found that torch can export it only for batch size "
            f"{batch.dim_value}: let nothing in it depend on the batch size"
        )


def _forget_source(message: Any) -> None:
    """Remove the source locations, which contain paths of this machine, from an ONNX message."""
    for name in OF_THE_SOURCE:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                _forget_source(part)


@contextmanager
def _explained(expected: str, advice: str) -> Iterator[None]:
    """Raise an error of torch's exporters as an ExportError, and silence their warnings: the file is checked anyway."""
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except KitError:
        raise
    except Exception as error:  # torch's exporters raise many types
        reason: BaseException = error
        while reason.__cause__:  # torch wraps it in advice for its own developers
            reason = reason.__cause__
        raise ExportError(
            f"expected a module that {expected}, found one that fails "
            f"({type(reason).__name__}: {one_line(reason)[:200]}): {advice}"
        ) from error
