"""What counts as unfamiliar at 1 % false alarms: other objects, noise, blank scenes; against probability and energy."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.special import logsumexp
from sklearn.datasets import load_digits

from runtime.image import ImageContract, Pixels
from trainer import Checkpoint, Dataset, FitConfig, Split, fit
from trainer.decisions.concluding import logits_of
from trainer.decisions.deciding import softmax
from trainer.features.extraction import extract
from trainer.features.familiarity import scores
from trainer.parts import parts_of, settled

from ..tools.measure import aimed, table

FALSE_ALARMS = 0.01
COUNT = 500
CAUGHT, AIMED = 0.95, ("noise", "digits", "CIFAR-10")

Scores = dict[str, NDArray[np.floating]]


def familiarity(sets: Mapping[str, Callable[[], Dataset]], cifar: Path | None) -> Iterator[str]:
    """Yield a table for each data set: the share of other images that each score catches."""
    for name, load in sets.items():
        data = load()
        config = settled(FitConfig(calibrate=True, familiarity=True, device="cpu"), data)
        checkpoint, held_out = fit(data, config).checkpoint, parts_of(data, config).held_out
        if held_out is None:
            continue
        known = scored(checkpoint, held_out)
        place = int((len(held_out) + 1) * FALSE_ALARMS + 1e-9) - 1
        least = {score: np.sort(values)[place] for score, values in known.items()}
        rows = []
        for other, split in {"its own test images": data.test, **others(data, cifar)}.items():
            measured = scored(checkpoint, split)
            found = {score: float((values < least[score]).mean()) for score, values in measured.items()}
            target = (
                aimed(found["familiarity"], CAUGHT, least=True) if other in AIMED and data.name != "flowers" else ""
            )
            rows.append((other, f"{len(split):,}", *(f"{share:.3f}" for share in found.values()), target))
        head = (f"caught by a model of {name}", "images", "familiarity", "largest probability", "energy", "target")
        yield table(head, rows)


def scored(checkpoint: Checkpoint, split: Split) -> Scores:
    """Familiarity, the largest probability, and the negative energy of the logits [1]: [N] each.

    [1] W. Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.
    """
    logits = logits_of(checkpoint, split).astype(np.float64)
    graph = checkpoint.familiarity
    assert graph is not None  # noqa: S101 - the fit was asked for it
    return {
        "familiarity": scores(graph, split, checkpoint.features),
        "largest probability": softmax(logits).max(axis=1),
        "energy": logsumexp(logits, axis=1),
    }


def others(data: Dataset, cifar: Path | None) -> dict[str, Split]:
    """Images of something else, brought to the model's size as a user's are."""
    contract, generator = data.contract, np.random.default_rng(0)
    images: dict[str, Pixels] = {
        "noise": generator.integers(0, 256, (COUNT, *contract.shape), np.uint8),
        "one grey": np.stack([np.full(contract.shape, level, np.uint8) for level in range(256)]),
        "letters": brought(letters(COUNT), contract),
        "pixels inverted": 255 - data.test.images[:COUNT].numpy(),
    }
    if data.name != "digits":
        images["digits"] = brought(load_digits().images[-COUNT:] * 15.9, contract)
    if cifar:
        files = sorted((cifar / "test").rglob("*.jpg")) + sorted((cifar / "test").rglob("*.png"))
        images["CIFAR-10"] = np.stack([contract.pixels(path) for path in files[:: max(1, len(files) // COUNT)]])
    return {name: _split(pixels, data) for name, pixels in images.items()}


def brought(images: NDArray[np.generic], contract: ImageContract) -> Pixels:
    """Bring grey images [N, H, W] to a model's size."""
    return np.stack([contract.pixels(image.astype(np.uint8)) for image in images])


def letters(count: int) -> Pixels:
    """White capital letters on black, 28 × 28, at places of their own."""
    generator, font = np.random.default_rng(0), ImageFont.load_default(size=22)
    found = []
    for number in range(count):
        image = Image.new("L", (28, 28))
        left, top = int(generator.integers(3, 9)), int(generator.integers(-2, 4))
        ImageDraw.Draw(image).text((left, top), chr(ord("A") + number % 26), fill=255, font=font)
        found.append(np.asarray(image))
    return np.stack(found)


def _split(pixels: Pixels, data: Dataset) -> Split:
    split = Split(torch.from_numpy(pixels), torch.zeros(len(pixels), dtype=torch.int64))
    if data.features is None:
        return split
    from trainer.data.cache import default_cache_dir

    return Split(split.images, split.targets, extract(split.images, data.features, cache_dir=default_cache_dir()))
