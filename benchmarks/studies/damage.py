"""Is a wrong file detected before it answers? Each exporter's file, damaged in the same ways.

Ours is detected where `export` refuses to write it or `runtime.load` to open it; a peer's where its exporter,
onnx.checker or onnxruntime does.
"""

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from numpy.typing import NDArray

from runtime import KitError

from ..peers.exporters import OURS, PLACES, TORCH_EXAMPLES, answer, through_skl2onnx, through_torch
from ..tools.measure import Found, check, table
from ..tools.subject import arrays, logistic

FLIPS, CUTS = 100, 20
NOTICED = 1e-3

Floats = NDArray[np.float32]
Change = Callable[[Floats, Floats], tuple[Floats, Floats]]
Written = Callable[[Floats], bytes]


def no_pixel(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Drop the weights of the most important pixel."""
    changed = weights.copy()
    changed[np.abs(weights).sum(axis=1).argmax()] = 0
    return changed, bias


def swapped(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Swap the first two classes."""
    order = [1, 0, *range(2, len(bias))]
    return weights[:, order].copy(), bias[order].copy()


def scaled(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Scale the weights for pixels in 0-1."""
    return weights * np.float32(255), bias


def no_mean(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Do not subtract the mean, here half of the range."""
    return weights, bias + np.float32(127.5) * weights.sum(axis=0)


WRONG: dict[str, Change] = {
    "exported without the weights of one pixel": no_pixel,
    "exported with two classes swapped": swapped,
    "exported for pixels in 0-1": scaled,
    "exported without the mean": no_mean,
}
ATTRIBUTE = b"\x3d"  # before each number of an attribute of ONNX; those of a tensor have nothing between them
WRITTEN: tuple[Written, ...] = (
    lambda weights: weights.tobytes(),
    lambda weights: weights.T.tobytes(),
    lambda weights: b"".join(ATTRIBUTE + number.tobytes() for number in weights.T.flat),
)


def measure(folder: Path, exported: Found) -> dict[str, dict[str, tuple[int, int]]]:
    """Count by damage and contender how many were detected, out of how many.

    exported: result of `report.export.measure`.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    weights, bias = (np.load(folder / "weights.npz")[name] for name in ("weights", "bias"))
    for name, place in PLACES.items():
        opens, errors = (open_ours, KitError) if name == OURS else (open_peers, Exception)
        opens(folder / place / "model.onnx")
        for damage, files in damaged(folder / place, weights, bias).items():
            noticed = [caught(partial(opens, path), errors) for path in files]
            found.setdefault(damage, {})[name] = sum(noticed), len(noticed)
    for damage in WRONG:
        found[damage] = {name: (int(one["wrong"][damage]), 1) for name, one in exported.items()}
    return found


def caught(use: Callable[[], object], errors: type[Exception] = Exception) -> bool:
    """Whether a use raises one of these errors; by default any, since each library has its own."""
    try:
        use()
    except errors:
        return True
    return False


def open_ours(path: Path) -> None:
    """Open a file as ours are opened."""
    import runtime

    runtime.load(path)


def open_peers(path: Path) -> None:
    """Open a file as careful users of onnx and onnxruntime do."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def damaged(place: Path, weights: Floats, bias: Floats) -> Mapping[str, Iterator[Path]]:
    """Damage the files of an exporter, one after the other, in a folder beside it."""
    generator = random.Random(0)  # noqa: S311 - the same damage each time
    return {
        "a bit flipped in the weights": (bit_flipped(place, weights, generator) for _ in range(FLIPS)),
        "the file cut short": (cut(place, generator) for _ in range(CUTS)),
        "two classes swapped in the finished file": (
            weights_replaced(place, weights, changed) for changed in (swapped(weights, bias)[0],)
        ),
    }


def bit_flipped(place: Path, weights: Floats, generator: random.Random) -> Path:
    """Flip a bit of a weight."""
    file, start, written = find(copied(place), weights)
    data = bytearray(file.read_bytes())
    step = len(written(weights)) // weights.size  # the last 4 bytes of it are the number
    place_in_it = generator.randrange(weights.size) * step + step - 4 + generator.randrange(4)
    data[start + place_in_it] ^= 1 << generator.randrange(8)
    file.write_bytes(data)
    return file.with_name("model.onnx")


def cut(place: Path, generator: random.Random) -> Path:
    """Cut off the end of the largest file."""
    copy = copied(place)
    file = max(copy.glob("model.onnx*"), key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    file.write_bytes(data[: generator.randrange(len(data))])
    return copy / "model.onnx"


def weights_replaced(place: Path, weights: Floats, changed: Floats) -> Path:
    """Replace the weights in the file."""
    file, start, written = find(copied(place), weights)
    data, other = file.read_bytes(), written(changed)
    file.write_bytes(data[:start] + other + data[start + len(other) :])
    return file.with_name("model.onnx")


def copied(place: Path) -> Path:
    """Copy an exporter's files into a folder beside them."""
    copy = place.with_name(f"{place.name}-damaged")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in place.glob("model.onnx*"):
        shutil.copy(path, copy)
    return copy


def find(folder: Path, weights: Floats) -> tuple[Path, int, Written]:
    """Find the weights: in which file, from which byte on, and how they are written."""
    for path in folder.glob("model.onnx*"):
        data = path.read_bytes()
        for written in WRITTEN:
            start = data.find(written(weights))
            if start >= 0:
                return path, start, written
    raise click.ClickException(f"{folder}: expected the weights in the files, found none: look how they are written")


def wrong_export(folder: Path, change: Change) -> None:
    """Export our checkpoint with changed weights."""
    from export import export
    from export.arithmetic.fold import Folded
    from export.formats import onnx
    from trainer import load_checkpoint

    right = onnx.prepare

    def wrong(checkpoint: Any) -> Any:
        numbers: Any = right(checkpoint)
        weights, bias = change(numbers.weights, numbers.bias)
        return Folded(weights=weights, bias=bias)

    with patch.object(onnx, "prepare", wrong):
        export(load_checkpoint(folder / "model.safetensors"), "onnx", folder / "wrong.onnx")


def wrong_exports(folder: Path, place: str) -> dict[str, bool]:
    """Export changed models with a contender, by its folder; return which it detects."""
    if place == "ours":
        wrong_export(folder, lambda weights, bias: (weights, bias))  # unchanged, so it is not refused
        return {name: caught(partial(wrong_export, folder, change), KitError) for name, change in WRONG.items()}
    numbers = np.load(folder / "weights.npz")
    path = folder / f"wrong-{place}.onnx"
    results = {}
    for name, change in WRONG.items():
        weights, bias = change(numbers["weights"], numbers["bias"])
        results[name] = caught(partial(peer_export, folder, place, weights, bias, path))
        if not results[name]:
            images = arrays(folder, "test")[0]
            off = float(np.abs(answer(path, images) - np.load(folder / "expected.npy")).max())
            check(off > NOTICED, f"{name}: other answers", f"a difference of {off}")
    return results


def peer_export(folder: Path, place: str, weights: Floats, bias: Floats, path: Path) -> None:
    """Export these weights with a peer, and open the file."""
    if place == "skl2onnx":
        through_skl2onnx(logistic(weights, bias), path)
    else:
        import torch

        from ..peers.openers import network

        model = network(str(folder))
        state = {"1.weight": weights.T, "1.bias": bias}
        model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in state.items()})
        through_torch(model, arrays(folder, "test")[0][:TORCH_EXAMPLES], path)
    open_peers(path)


def layout(found: dict[str, dict[str, tuple[int, int]]]) -> str:
    """Lay out the table."""
    names = list(next(iter(found.values())))
    rows = [(damage, *("{} of {}".format(*by[name]) for name in names)) for damage, by in found.items()]
    return table(("damage; detected", *names), rows)
