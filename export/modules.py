"""Any classifier that is a `torch.nn.Module`, exported through the same gate as the kit's own.

```python
from export import to_onnx
from runtime import ImageContract

network = torchvision.models.mobilenet_v3_small(num_classes=3)
to_onnx(network, "model.onnx", labels=["cat", "dog", "owl"], image=ImageContract(height=96, width=96, color="RGB"))
```
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Required, TypedDict, Unpack

import torch

from runtime.artefact import INPUT, OUTPUT
from runtime.errors import ArtefactError, needs_extra
from runtime.image import ImageContract, Pixels
from runtime.seal import seal
from runtime.text import one_line

from .errors import ExportError
from .exporting import ExportReport, output_path, report, written
from .formats import onnx as onnx_format
from .formats import torchscript as torchscript_format
from .formats.compatibility import Target
from .formats.target import target_for
from .gate.parity import Artefact, check_parity
from .module_subject import Subject, explained, subject_of

OPSET = 18  # the oldest that torch's exporter writes
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
    outputs: "logits", to which the artefact applies softmax, or "probabilities", to which it does not; the sum of each
        row has to be 1 within the tolerance. By default logits, and a module that seems to end in a sigmoid is refused;
        one that ends in softmax is refused with "logits" too.
    """

    labels: Required[Sequence[str]]
    image: Required[ImageContract]
    mean: Sequence[float]
    std: Sequence[float]
    examples: Pixels
    provenance: Mapping[str, Any]
    tolerance: float
    outputs: Literal["logits", "probabilities"]


def to_onnx(
    module: torch.nn.Module,
    path: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    target_ort: str | None = None,
    **about: Unpack[About],
) -> ExportReport:
    """Write a module as an ONNX artefact, if the written file predicts what the module predicts in float64.

    For the prediction in float64 everything in the module is, casts to float32 and constants included.

    module: float32 [N, C, H, W] → logits [N, K], for images of the size in `image`; it is not changed. It is run as
        after `eval()`, on the CPU, and without torch.compile and DataParallel.
    opset: ONNX opset version, 18 or newer.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15".
    about: the fields of `About`.
    Raises ParityError, ArtefactError for labels or other metadata that are not valid, and ExportError where torch
    cannot export the module.
    """
    file, target = output_path(path, "onnx"), target_for("onnx", opset, target_ort)
    if target.opset < OPSET:
        raise ExportError(
            f"expected an opset from {OPSET}, the oldest that torch's exporter writes, found {target.opset}: "
            "leave it out, every onnxruntime since 1.15 loads that one"
        )
    subject = subject_of(module, **about)
    image = subject.metadata.image
    with explained("torch.onnx.export can write", "change the module, or use to_torchscript"):
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
    return _export("onnx", file, subject, data, onnx_format.open_artefact, "to_torchscript")


def to_torchscript(module: torch.nn.Module, path: str | os.PathLike[str], **about: Unpack[About]) -> ExportReport:
    """Write a module as a TorchScript artefact; torch.jit has to be able to script it. The rest is as for `to_onnx`."""
    file, subject = output_path(path, "torchscript"), subject_of(module, **about)
    with explained("torch.jit.script can read", "change the module, or use to_onnx"):
        data = torchscript_format.save(subject.single, subject.metadata)
    return _export("torchscript", file, subject, data, torchscript_format.open_artefact, "to_onnx")


def _export(
    format: str,  # noqa: A002 - the word that users know
    path: Path,
    subject: Subject,
    data: bytes,
    open_artefact: Callable[[Path], Artefact],
    other: str,
) -> ExportReport:
    """Write the file, if it holds what the module computes. other: what to export with where it does not."""
    advice = (
        "let it compute in float32, without autocast and with moderate numbers, finite for any image and the same each "
        f"time, or use {other}"
    )
    gate = replace(subject.gate, advice=advice)
    try:
        with written(path, data, open_artefact) as artefact:
            parity = check_parity(artefact, subject.metadata, subject.probes, subject.trained, gate)
    except ArtefactError as error:
        raise ExportError(
            f"expected a module whose file runs, found one whose file does not ({one_line(error)}): {advice}"
        ) from error
    return report(format, path, data, parity=parity, tolerance=gate.tolerance)


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
