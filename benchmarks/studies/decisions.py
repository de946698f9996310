"""Benchmark of decisions: calibration, the guarantee of thresholds and sets, familiarity; Markdown on standard output.

python -m benchmarks.decisions --data-dir DIR --cifar DIR --flowers DIR
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from runtime.decided import accepted, prediction_sets
from runtime.metrics import calibration_error, calibration_error_by_chance
from trainer import Checkpoint, Dataset, FitConfig, Split, fit, load_data, load_features
from trainer.decisions.calibration import Calibration, losses
from trainer.decisions.concluding import logits_of, probabilities_of
from trainer.decisions.deciding import decide, softmax
from trainer.decisions.demands import Demands

from ..tools.measure import aimed, fashion, fashion_dir, table
from ..tools.page import show
from .familiarity import familiarity

SPLITS = 200
RATES = (0.02, 0.05)
SEEDS = 4

Load = Callable[[], Dataset]


@click.command()
@fashion
@click.option("--cifar", type=click.Path(path_type=Path, exists=True), help="Folder of CIFAR-10, train and test.")
@click.option("--flowers", type=click.Path(path_type=Path, exists=True), help="Folder of flowers, train and test.")
def main(data_dir: Path | None, cifar: Path | None, flowers: Path | None) -> None:
    """Measure decisions on test images, and over 200 random splits."""
    fashion_mnist = partial(load_data, "fashion-mnist", data_dir=fashion_dir(data_dir))
    sets: dict[str, Load] = {"digits": partial(load_data, "digits"), "Fashion-MNIST": fashion_mnist}
    photos = {"flowers": partial(_photos, flowers)} if flowers else {}
    show("Calibration", iter([calibration(sets | photos)]))
    show("The guarantee", iter([guarantee(sets)]))
    show("Familiarity", familiarity(sets | photos, cifar))


def _photos(folder: Path) -> Dataset:
    return load_features(load_data(folder, image_size=224, color="RGB"), "efficientnet_lite0")


def calibration(sets: Mapping[str, Load]) -> str:
    """Compare probabilities on the test images before and after, by default and where SGD stops early."""
    rows = []
    for name, load in sets.items():
        data = load()
        for solver in ("auto", "sgd"):
            for seed in range(SEEDS if solver == "auto" else 1):
                config = FitConfig(solver=solver, seed=seed, calibrate=True, device="cpu")
                rows.append((name, solver, str(seed), *_calibrated(fit(data, config).checkpoint, data)))
    head = ("images", "solver", "seed", "temperature", "log loss before", "after", "accuracy before", "after",
            "calibration error before", "after", "by chance", "target")  # fmt: skip
    return table(head, rows)


def _calibrated(checkpoint: Checkpoint, data: Dataset) -> tuple[str, ...]:
    targets = data.test.targets.numpy()
    both = [probabilities_of(each, data.test) for each in (replace(checkpoint, decision=None), checkpoint)]
    found = [losses(np.log(part.astype(np.float64).clip(min=1e-38)), targets).mean() for part in both]
    right = [float((part.argmax(axis=1) == targets).mean()) for part in both]
    errors = [calibration_error(targets, part) for part in both]
    chance = calibration_error_by_chance(both[1])
    cells = [f"{value:.4f}" for pair in (found, right, errors) for value in pair]
    temperature = checkpoint.decision.temperature if checkpoint.decision else 1.0
    return f"{temperature:.3g}", *cells, f"{chance:.4f}", aimed(errors[1], round(chance, 4))


def guarantee(sets: Mapping[str, Load]) -> str:
    """Count in how many random splits the true error is above the stated one, and how many sets have the true label.

    A model is fitted to a part of the images. The others are split at random, into those that a decision is found on
    and those that show what is true.
    """
    rows = []
    for name, load in sets.items():
        data = load()
        checkpoint, pool = _model_and_pool(data)
        logits, targets = logits_of(checkpoint, pool), pool.targets.numpy()
        for rate in RATES:
            held = min(5000, len(pool) // 2)
            rows.append((name, f"{rate:.0%}", *_splits(logits, targets, checkpoint.labels, rate, held)))
    head = ("images", "at most wrong", "held out", "splits with a threshold", "above the rate", "allowed", "coverage",
            "sets of 90 % have", "95 %", "99 %")  # fmt: skip
    return table(head, rows)


def _model_and_pool(data: Dataset) -> tuple[Checkpoint, Split]:
    """Fit to five sixths of the training images, or half of all where they are few; return the other images too."""
    images = torch.cat([part.images[:] for part in (data.train, data.test)])
    targets = torch.cat([part.targets for part in (data.train, data.test)])
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    count = len(order) // 2 if len(order) < 10_000 else len(data.train) * 5 // 6
    fitted, rest = (Split(images[rows], targets[rows]) for rows in (order[:count], order[count:]))
    checkpoint = fit(replace(data, train=fitted, test=rest), FitConfig(calibrate=False, device="cpu")).checkpoint
    return checkpoint, rest


def _splits(
    logits: NDArray[np.float32], targets: NDArray[np.int64], labels: tuple[str, ...], rate: float, held: int
) -> Iterator[str]:
    generator, above, coverages, covered = np.random.default_rng(0), 0, [], []
    for _ in range(SPLITS):
        order = generator.permutation(len(targets))
        rows, others = order[:held], order[held:]
        found = decide(logits[rows], targets[rows], labels, Demands(rate)).decision
        calibrated = Calibration(found.temperature, found.bias)(logits[others].astype(np.float64))
        probabilities, true = softmax(calibrated), targets[others]
        covered.append([
            prediction_sets(probabilities, one.probability)[np.arange(len(true)), true].mean() for one in found.sets
        ])  # fmt: skip
        if found.thresholds:
            passed = accepted(probabilities, found.thresholds, labels)
            above += bool((probabilities.argmax(axis=1) != true)[passed].mean() > rate)
            coverages.append(passed.mean())
    count = len(coverages)
    allowed = int(binom.ppf(0.95, count, 0.05)) if count else 0
    yield from (f"{held:,}", f"{count} of {SPLITS}", str(above), aimed(above, allowed))
    yield f"{np.mean(coverages):.1%}" if count else "–"
    means = np.mean(covered, axis=0)
    yield from (f"{mean:.4f}" for mean in means)
    yield from ["–"] * (3 - len(means))
