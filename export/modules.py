"""Any classifier that is a `torch.nn.Module`, exported through the same gate as the kit's own.

```python
from export import to_onnx
from runtime import ImageContract

network = torchvision.models.mobilenet_v3_small(num_classes=3)
to_onnx(network, "model.onnx", labels=["cat", "dog", "owl"], image=ImageContract(height=96, width=96, color="RGB"))
```
"""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import numpy as np
import onnx
import torch

from runtime.artefact import INPUT, OUTPUT, Golden, Metadata, PixelStatistics, from_json
from runtime.image import ImageContract, Pixels

from .errors import ExportError
from .exporting import ExportReport, gate_for, report, written
from .formats import FLOAT_TOLERANCE
from .formats import onnx as onnx_format
from .formats import torchscript as torchscript_format
from .parity import Artefact, check_parity, probes
from .raw_pixels import RawPixels, run
from .target import target_for

OPSET = 18  # the oldest that torch's exporter writes
EXAMPLES = 8
OF_THE_SOURCE = ("metadata_props", "doc_string")


class About(TypedDict, total=False):
    """What a module does not say of itself.

    labels: K names in output order. image: size, colour, and how to bring an image to them. mean, std: a number a
    channel; the module sees (pixel / 255 − mean) / std, by default pixel / 255. examples: uint8 [G, H, W, C], a few
    real images to carry along and compare on, by default random ones. provenance: what else to say of the model, as
    JSON. tolerance: largest difference in probability, by default 1e-5.
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
    """Write a module as an ONNX artefact, if the written file answers as the module does in float64.

    module: float32 [N, C, H, W] → logits [N, K], for images of the size that `image` says; it is left as it is. about:
    the fields of `About`. opset, target_ort: as for `export`. Raises ParityError, ArtefactError for labels and the like
    that no artefact can carry, and ExportError where torch cannot export the module.
    """
    target = target_for("onnx", opset, target_ort)
    subject = _subject(module, about)
    image = subject.metadata.image
    with _explained("torch.onnx.export"):
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
    _forget_source(model)
    del model.graph.value_info[:]
    model.producer_name, model.producer_version, model.ir_version = "softmax-kit", "", target.ir_version
    onnx.helper.set_model_props(model, subject.metadata.to_props())
    onnx.checker.check_model(model, full_check=True)
    return _export("onnx", Path(path), subject, model.SerializeToString(deterministic=True), onnx_format.open_artefact)


def to_torchscript(module: torch.nn.Module, path: str | os.PathLike[str], **about: Unpack[About]) -> ExportReport:
    """Write a module that torch.jit can script as a TorchScript artefact; everything else is as for `to_onnx`."""
    subject = _subject(module, about)
    with _explained("torch.jit.script"):
        data = torchscript_format.save(subject.single, subject.metadata)
    return _export("torchscript", Path(path), subject, data, torchscript_format.open_artefact)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is exported. single, exact: on raw pixels, in float32 and in float64."""

    single: RawPixels
    exact: RawPixels
    metadata: Metadata


def _subject(module: torch.nn.Module, about: About) -> _Subject:
    """Wrap copies of the module, let it answer the examples, and check what is said about it."""
    labels, image = tuple(about["labels"]), about["image"]
    tolerance = gate_for(about.get("tolerance", FLOAT_TOLERANCE)).tolerance
    channels = [np.asarray(about.get(name, default), np.float64) for name, default in (("mean", [0.0]), ("std", [1.0]))]
    if any(values.shape not in ((1,), (image.channels,)) for values in channels) or not (channels[1] > 0).all():
        raise ExportError(
            f"expected mean and std of {image.channels} numbers, std above 0, found {channels[0].tolist()} and "
            f"{channels[1].tolist()}: give one a channel, for pixels from 0 to 1"
        )
    mean, std = (torch.from_numpy(values) for values in channels)
    exact = RawPixels(copy.deepcopy(module).double(), mean, std).eval()
    examples = about.get("examples")
    golden = _random_images(image) if examples is None else examples
    if golden.dtype != np.uint8 or golden.shape[1:] != image.shape or not len(golden):
        raise ExportError(
            f"expected examples of uint8 [G, {', '.join(map(str, image.shape))}], at least one, "
            f"found {golden.dtype} {list(golden.shape)}: bring them to the model's size first"
        )
    with _explained("the module in float64"):
        probabilities = run(exact, golden)
    if probabilities.shape != (len(golden), len(labels)):
        raise ExportError(
            f"expected logits [{len(golden)}, {len(labels)}] for {len(golden)} images and {len(labels)} labels, found "
            f"{list(probabilities.shape)}: give a label for every output"
        )
    metadata = Metadata(
        labels=labels,
        image=image,
        pixel_statistics=None if examples is None else _statistics(examples),
        golden=Golden(images=golden, probabilities=probabilities.astype(np.float32), tolerance=tolerance),
        provenance={"module": type(module).__name__, **about.get("provenance", {})},
    )
    from_json(metadata.to_json())  # refuses what no runtime would read
    return _Subject(
        single=RawPixels(copy.deepcopy(module), mean.float(), std.float()).eval(), exact=exact, metadata=metadata
    )


def _export(
    format: str,  # noqa: A002 - the word that users know
    path: Path,
    subject: _Subject,
    data: bytes,
    open_artefact: Callable[[Path], Artefact],
) -> ExportReport:
    metadata = subject.metadata
    gate = gate_for(metadata.golden.tolerance)
    images = probes(metadata.image, metadata.golden.images)
    with written(path, data, open_artefact) as artefact:
        parity = check_parity(artefact, metadata, images, partial(run, subject.exact), gate)
    return report(format, path, parity=parity, tolerance=gate.tolerance)


def _random_images(image: ImageContract) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (EXAMPLES, *image.shape), np.uint8)


def _statistics(images: Pixels) -> PixelStatistics:
    mean, std = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    return PixelStatistics(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _forget_source(message: Any) -> None:
    """Remove the notes on where each part came from, which name this machine's folders, from an ONNX message."""
    for name in OF_THE_SOURCE:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type:
            for part in value if field.is_repeated else [value]:
                _forget_source(part)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what torch raises of a module into an ExportError, and silence its warnings: what comes out is checked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # torch's exporters raise errors of many kinds
        reason = " ".join(str(error).split())[:200]
        raise ExportError(
            f"expected a module that {what} takes, found one that it refuses ({type(error).__name__}: {reason}): "
            "change the module, or export it by another of to_onnx and to_torchscript"
        ) from error
