"""Reads the weights of a network from a file, and never runs code from it."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from runtime.digest import digest as digest_of
from runtime.errors import needs_extra
from runtime.files import check_regular, read_at_most, reason
from runtime.text import one_line

from ..data.features import UNSTATED
from ..errors import ConfigError, DataError

MAX_BYTES = 2 * 2**30
SAFE_TORCH = (2, 10)  # torch.load(weights_only=True) of earlier ones runs code from some files
SHOWN = 3  # keys in a message
COUNTER = ".num_batches_tracked"  # of batch norms; has no effect once trained


class Weights(NamedTuple):
    """Tensors that were read from a file.

    tensors: by key.
    digest: the file's sha256.
    path: the file.
    """

    tensors: Mapping[str, Tensor]
    digest: str
    path: Path

    def about(self, licence: str = UNSTATED, source: str | None = None) -> dict[str, str]:
        """Describe them in JSON. source: by default the file's name, without its folder."""
        return {"digest": self.digest, "licence": licence, "source": source or self.path.name}


def read_weights(path: Path, *, digest: str | None = None) -> Weights:
    """Read a `.safetensors` file, or one of torch.save with tensors alone.

    digest: what the file's sha256 has to be, or begin with, as in `sha256:5793`; None for any.
    Raises DataError for another digest, a damaged file and one with code, and ConfigError where this torch cannot be
    trusted with a file of unknown digest.
    """
    try:
        size = check_regular(path, "weights", DataError, limit=MAX_BYTES)
        data = read_at_most(path, size, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected a file of weights, found none that can be read ({reason(error)}): name another"
        ) from None
    found = digest_of(data)
    if digest and not found.startswith(digest):
        raise DataError(f"{path}: expected weights with the digest {digest}, found {found}: fetch the file again")
    if path.suffix == ".safetensors":
        tensors = _safetensors(data, path)
    else:
        known = digest is not None and len(digest) == len(found)
        tensors = _pickled(data, path, known=known)
    return Weights(tensors, found, path)


def load_weights(network: nn.Module, weights: Weights, name: str, *, head: str) -> None:
    """Put weights into a network.

    name: of the network.
    head: how the keys of the classifier begin, which the network does not have.
    Raises DataError for weights of another network.
    """
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTER)}
    found = {
        key: value for key, value in weights.tensors.items() if not key.startswith(head) and not key.endswith(COUNTER)
    }
    shaped = expected.keys() & found.keys()
    wrong = {
        "without": sorted(expected.keys() - found.keys()),
        "with": sorted(found.keys() - expected.keys()),
        "of another shape:": sorted(
            f"{key} {list(found[key].shape)} in place of {list(expected[key].shape)}"
            for key in shaped
            if found[key].shape != expected[key].shape
        ),
    }
    for problem, keys in wrong.items():
        if keys:
            more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            raise DataError(
                f"{weights.path}: expected the weights of {name}, found a file {problem} "
                f"{', '.join(keys[:SHOWN])}{more}: name the weights of this network"
            )
    network.load_state_dict(found, strict=False)


def _safetensors(data: bytes, path: Path) -> dict[str, Tensor]:
    with needs_extra("train", "reading weights"):
        from safetensors import SafetensorError
        from safetensors.torch import load
    try:
        return dict(load(data))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected weights in safetensors, found a damaged file ({one_line(error)}): fetch it again"
        ) from None


def _pickled(data: bytes, path: Path, *, known: bool) -> dict[str, Tensor]:
    """Read a file of torch.save. known: whether its whole digest is the expected one."""
    if not known and _release(torch.__version__) < SAFE_TORCH:
        raise ConfigError(
            f"{path}: expected torch {'.'.join(map(str, SAFE_TORCH))} or newer to read it, found {torch.__version__}, "
            "which may run code from such a file: pip install --upgrade torch, or save the weights as .safetensors"
        )
    try:
        found: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        raise DataError(
            f"{path}: expected weights that torch.load(weights_only=True) reads, found a damaged file or one with code "
            f"({one_line(error).partition('. ')[0]}): fetch it again, or save the tensors alone, as .safetensors"
        ) from None
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise DataError(
            f"{path}: expected a state_dict, tensors by name, found something else: save network.state_dict()"
        )
    return dict(found)


def _release(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
