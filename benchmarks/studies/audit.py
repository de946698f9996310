"""Benchmark of the audit: planted wrong labels and copies, and what is named in clean images; Markdown.

python -m benchmarks.audit --data-dir DIR --flowers FLOWERS
"""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from trainer import Dataset, load_data, load_features
from trainer.auditing.copies import exact_copies, near_copies
from trainer.auditing.labels import label_scores, out_of_fold

from ..tools.measure import aimed, fashion, fashion_dir, table
from ..tools.page import show

SHARE, LOOKED_AT = 0.03, 0.05  # of labels that are changed; of the list that is looked at
SEEDS, COPIES = 5, 300
AIMS = {"Fashion-MNIST": 0.88, "flowers": 0.65}
WAYS = ("equal", "JPEG of quality 60", "0.6 of the size and back", "cropped by 4 %")

Load = Callable[[], Dataset]


@click.command()
@fashion
@click.option("--flowers", type=click.Path(path_type=Path, exists=True), help="Folder of flowers, train and test.")
@click.option("--seeds", type=click.IntRange(1), default=SEEDS, show_default=True)
def main(data_dir: Path | None, flowers: Path | None, seeds: int) -> None:
    """Plant mistakes and count those that are found."""
    sets: dict[str, Load] = {"Fashion-MNIST": partial(load_data, "fashion-mnist", data_dir=fashion_dir(data_dir))}
    if flowers:
        sets["flowers"] = partial(_on_features, flowers)
    show("Wrong labels", iter([wrong_labels(sets, seeds)]))
    if flowers:
        sets["flowers"] = partial(load_data, flowers, image_size=64)
    show("Copies", iter([copies(sets, seeds)]))


def _on_features(folder: Path) -> Dataset:
    return load_features(load_data(folder, image_size=224, color="RGB"), "efficientnet_lite0")


def wrong_labels(sets: Mapping[str, Load], seeds: int) -> str:
    """Change labels at random, and count those among the first of the list."""
    rows = []
    for name, load in sets.items():
        data = load()
        for seed in range(seeds):
            started, (changed, planted) = time.process_time(), mislabelled(data, seed)
            targets = changed.train.targets.numpy()
            scores = label_scores(out_of_fold(changed), targets)
            first = np.argsort(scores, kind="stable")[: int(LOOKED_AT * len(targets))]
            found = float(np.isin(planted, first).mean())
            seconds = time.process_time() - started
            rows.append((name, str(seed), f"{len(planted):,}", f"{found:.3f}", aimed(found, AIMS[name], least=True),
                         f"{seconds:.0f}"))  # fmt: skip
    head = ("images", "seed", "labels changed", f"in the first {LOOKED_AT:.0%} of the list", "target",
            "processor time, s")  # fmt: skip
    return table(head, rows)


def mislabelled(data: Dataset, seed: int) -> tuple[Dataset, NDArray[np.intp]]:
    """Change the labels of some training images; return their rows too."""
    generator, targets = np.random.default_rng(seed), data.train.targets.numpy().copy()
    rows = generator.choice(len(targets), int(SHARE * len(targets)), replace=False)
    targets[rows] = (targets[rows] + generator.integers(1, len(data.labels), len(rows))) % len(data.labels)
    return replace(data, train=replace(data.train, targets=torch.from_numpy(targets))), rows


def copies(sets: Mapping[str, Load], seeds: int) -> str:
    """Add copies of each way, and count those that are found, and clean images that are named."""
    rows = []
    for name, load in sets.items():
        images = load().train.images[:].numpy()
        for seed in range(seeds):
            started = time.process_time()
            found, clean = _found(images, seed)
            seconds = time.process_time() - started
            rows.append((name, str(seed), *(f"{share:.3f}" for share in found), f"{clean:.2%}", f"{seconds:.0f}"))
    return table(("images", "seed", *WAYS, "clean images named", "processor time, s"), rows)


def _found(images: NDArray[np.uint8], seed: int) -> tuple[list[float], float]:
    """Share of the copies of each way that are found, and of the other images that are named."""
    generator, count = np.random.default_rng(seed), min(COPIES, len(images) // 10)
    sources = generator.choice(len(images), count, replace=False)
    ways = np.arange(count) % len(WAYS)
    added = np.stack([altered(images[row], int(way)) for row, way in zip(sources, ways, strict=True)])
    every = torch.from_numpy(np.concatenate([images, added]))
    pairs = {(pair.row, pair.other) for pair in near_copies(every)}
    pairs |= {(row, rows[0]) for rows in exact_copies(every) for row in rows[1:]}
    hits = np.array([(len(images) + place, row) in pairs for place, row in enumerate(sources.tolist())])
    clean = {row for pair in pairs for row in pair if pair[0] < len(images)} - set(sources.tolist())
    return [float(hits[ways == way].mean()) for way in range(len(WAYS))], len(clean) / len(images)


def altered(image: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
    """Copy an image [H, W, C] in one of WAYS."""
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    width, height = picture.size
    if way == 1:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        picture = Image.open(file)
    elif way == 2:
        small = picture.resize((int(width * 0.6), int(height * 0.6)), Image.Resampling.BILINEAR)
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
    elif way == 3:
        cut = max(1, round(0.04 * width))
        picture = picture.crop((cut, cut, width - cut, height - cut)).resize((width, height))
    return np.asarray(picture).reshape(image.shape)
