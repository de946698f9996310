"""What a module may give: each of the others has its own message."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from export import ExportError
from export.module_outputs import check_logits, check_outputs, check_probabilities, may_be_probabilities

Z = torch.zeros(4, 3)
LOGITS = np.array([[-1.0, 2, 0.5], [0.25, 0.5, 0.25]])
SHARES = np.array([[0.25, 0.5, 0.25], [1, 0, 0]])
SIGMOIDS = np.array([[0.25, 0.5, 0.5], [0, 1, 0.125]])
NAMES = ["golden example 0", "the all-black image"]

ONE_TENSOR = "expected a module that returns one tensor of logits, found"
NUMBERS = "expected floating-point logits, found"
ONE_NUMBER = "expected logits [4, 3] for 4 images and 3 labels, found one number an image,"
SHAPE = "expected logits [4, 3] for 4 images and 3 labels, found"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"logits": Z, "aux": Z}, f"{ONE_TENSOR} a dict of 'logits', 'aux': wrap it in a module whose "),
        ((Z, Z), f"{ONE_TENSOR} a tuple of 2: wrap it"),
        ([Z], f"{ONE_TENSOR} a list of 1: wrap it"),
        (SimpleNamespace(logits=Z), f"{ONE_TENSOR} SimpleNamespace: wrap it"),
        (None, f"{ONE_TENSOR} NoneType: wrap it"),
        (Z.numpy(), f"{ONE_TENSOR} ndarray: wrap it"),
        (Z.argmax(1), f"{NUMBERS} int64 [4]: let the module return the logits themselves"),
        (Z > 0, f"{NUMBERS} bool [4, 3]: let"),
        (Z.to(torch.complex64), f"{NUMBERS} complex64 [4, 3]: let"),
        (Z[:, :1], f"{ONE_NUMBER} [4, 1]: return two, for a logit z torch.stack([-z / 2, z / 2], 1), for a "),
        (Z[:, 0], f"{ONE_NUMBER} [4]: return two"),
        (Z[:, :2], f"{SHAPE} [4, 2]: give a label for every output"),
        (Z[0], f"{SHAPE} [3]: return one row of logits for each image"),
        (Z[0, 0], f"{SHAPE} []: return one row"),
        (Z[:, :, None], f"{SHAPE} [4, 3, 1]: return one row"),
        (Z.double(), "expected float32 logits of a module in float32, found float64: let it return logits.float()"),
        (Z.bfloat16(), "found bfloat16: let it return logits.float()"),
    ],
)  # fmt: skip
def test_outputs_that_are_no_logits(found: Any, message: str) -> None:
    with pytest.raises(
        ExportError, match=f"^{re.escape(message)}" if message.startswith("exp") else re.escape(message)
    ):
        check_outputs(found, 4, 3)
    check_outputs(Z, 4, 3)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ([0.25, 0.5, 0.5], "0.25 to 0.5 of sum 1.25"),
        ([-0.25, 1, 0.25], "-0.25 to 1 of sum 1"),
        ([0.5, 0.4998, 0], "0 to 0.5 of sum 0.9998"),
        ([np.nan, 1, 0], "nan to nan of sum nan"),
    ],
)
def test_rows_that_are_no_probabilities(wrong: list[float], found: str) -> None:
    check_probabilities(SHARES, NAMES, 1e-4)
    message = f'as outputs="probabilities" says, found {found} for the all-black image: divide them by their sum, or'
    with pytest.raises(ExportError, match=re.escape(message)):
        check_probabilities(np.array([SHARES[0], wrong]), NAMES, 1e-4)


def test_probabilities_within_the_tolerance() -> None:
    check_probabilities(np.array([[0.5, 0.49995, 0], [1.00005, -0.00005, 0]]), NAMES, 1e-4)


@pytest.mark.parametrize("rows", [SHARES, SHARES + 1e-7, SHARES[:1]])
@pytest.mark.parametrize("known", [True, False])
def test_probabilities_for_logits(rows: np.ndarray[Any, Any], known: bool) -> None:
    """Those of a softmax are refused whatever is said of them."""
    assert may_be_probabilities(rows)
    message = (
        r'^expected logits, found probabilities, .*: give outputs="probabilities", or return what goes into the so'
    )
    with pytest.raises(ExportError, match=message):
        check_logits(rows, None if known else lambda: rows)
    check_probabilities(rows, NAMES, 1e-5)


def test_sigmoids_for_logits() -> None:
    """They stay from 0 to 1 for pixels of any size; logits that happen to be small do not."""
    assert may_be_probabilities(SIGMOIDS)
    message = (
        r'^expected logits, found numbers from 0 to 1 .*: return what goes into the sigmoid, or divide by .*"logits"'
    )
    for enlarged in (SIGMOIDS.round(), np.full_like(SIGMOIDS, np.nan)):
        with pytest.raises(ExportError, match=message):
            check_logits(SIGMOIDS, lambda enlarged=enlarged: enlarged)  # type: ignore[misc]
    check_logits(SIGMOIDS, lambda: SIGMOIDS * 100)
    check_logits(SIGMOIDS, lambda: -SIGMOIDS)
    check_logits(SIGMOIDS, None)


def test_logits() -> None:
    assert not may_be_probabilities(LOGITS)
    assert not may_be_probabilities(LOGITS[:1])
    for rows in (LOGITS, np.log(SHARES.clip(1e-9))):
        check_logits(rows, lambda: SIGMOIDS)
