"""What a module has to give for the images of a batch: logits or probabilities, a row for each image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ExportError
from .formats import FLOAT_TOLERANCE

OUTPUTS = ("logits", "probabilities")
Numbers = NDArray[np.floating]


def check_outputs(found: Any, images: int, labels: int) -> None:
    """Raise ExportError for what is not a float32 tensor [images, labels]."""
    if not isinstance(found, Tensor):
        raise ExportError(
            f"expected a module that returns one tensor of logits, found {_described(found)}: wrap it in a module "
            "whose forward returns the logits alone"
        )
    shape, kind = list(found.shape), str(found.dtype).removeprefix("torch.")
    if not found.is_floating_point():
        raise ExportError(
            f"expected floating-point logits, found {kind} {shape}: let the module return the logits themselves"
        )
    if shape in ([images], [images, 1]):
        raise ExportError(
            f"expected logits [{images}, {labels}] for {images} images and {labels} labels, found one number an image, "
            f"{shape}: return two, for a logit z torch.stack([-z / 2, z / 2], 1), for a probability p "
            'torch.stack([1 - p, p], 1) with outputs="probabilities"; p and z of shape [N]'
        )
    if shape != [images, labels]:
        advice = "give a label for every output" if len(shape) == 2 else "return one row of logits for each image"
        raise ExportError(
            f"expected logits [{images}, {labels}] for {images} images and {labels} labels, found {shape}: {advice}"
        )
    if found.dtype != torch.float32:
        raise ExportError(f"expected float32 logits of a module in float32, found {kind}: let it return logits.float()")


def check_probabilities(found: Numbers, names: Sequence[str], tolerance: float) -> None:
    """Raise ExportError unless the rows [N, K] are probabilities."""
    wrong = np.flatnonzero(~_sums_to_1(found, tolerance))
    if len(wrong):
        row = found[wrong[0]]
        raise ExportError(
            f'expected probabilities of sum 1, as outputs="probabilities" says, found {row.min():.3g} to '
            f"{row.max():.3g} of sum {row.sum():.6g} for {names[wrong[0]]}: divide them by their sum, or return logits "
            "and leave outputs out"
        )


def may_be_probabilities(found: Numbers) -> bool:
    """Tell whether the outputs [N, K] are all from 0 to 1."""
    return bool(((found >= -FLOAT_TOLERANCE) & (found <= 1 + FLOAT_TOLERANCE)).all())


def check_logits(found: Numbers, enlarged: Callable[[], Numbers] | None) -> None:
    """Raise ExportError for what are probabilities, not logits: [N, K].

    enlarged: outputs for the same images with pixels of a million times the value; where they too are from 0 to 1, the
        module ends in a sigmoid or the like. None for logits that are known to be these.
    """
    if _sums_to_1(found, FLOAT_TOLERANCE).all():
        raise ExportError(
            "expected logits, found probabilities, from 0 on and of sum 1 for every image, to which softmax would be "
            'applied again: give outputs="probabilities", or return what goes into the softmax'
        )
    if enlarged and not any(((numbers < 0) | (numbers > 1)).any() for numbers in (found, enlarged())):
        raise ExportError(
            "expected logits, found numbers from 0 to 1 for every image, as of a sigmoid, to which softmax would be "
            "applied: return what goes into the sigmoid, or divide by the sum of the row and give "
            'outputs="probabilities"; outputs="logits" if they are logits'
        )


def _sums_to_1(rows: Numbers, tolerance: float) -> NDArray[np.bool_]:
    """Tell which rows [N, K] are probabilities: [N]."""
    result: NDArray[np.bool_] = (rows >= -tolerance).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) <= tolerance)
    return result


def _described(found: Any) -> str:
    kind = type(found).__name__
    if isinstance(found, Mapping):
        return f"a {kind} of {', '.join(repr(name) for name in found)}"
    return f"a {kind} of {len(found)}" if isinstance(found, tuple | list) else kind
