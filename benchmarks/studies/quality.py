"""How good the weights are: test accuracy with the default settings, and the objective that L-BFGS reaches."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from trainer import Dataset, FitConfig, Model, Split, fit, load_data
from trainer.provenance import pixel_statistics

from ..peers import textbook
from ..tools.measure import aimed, check, table

Floats = NDArray[np.float64]

MEAN_ACCURACY, LEAST_ACCURACY = 0.845, 0.843
HIGHER = 1e-4
DECAYS = (1e-2, 1e-3, 1e-4)
FEW_IMAGES = 10_000
SCIKIT_LEARN = {"lbfgs": 100, "saga": 10}  # the first is its default


def accuracies(
    data: Dataset, peers: dict[str, Callable[[], float]], *, seeds: int, config: FitConfig | None = None
) -> Iterator[str]:
    """Yield a table of test accuracies.

    peers: by name, functions that train and return their test accuracy.
    """
    rows, shares = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        fitted = fit(data, config or FitConfig(seed=seed))
        seconds = time.perf_counter() - started
        share = recounted(fitted.model, data.test)
        reported = fitted.history[-1].test_accuracy
        check(abs(share - reported) < 1e-3, f"the accuracy that the fit reports, {reported}", share)
        shares.append(share)
        rows.append((f"ours, seed {seed}", f"{share:.4f}", "", f"{seconds:.1f}"))
    rows.append(("ours, mean", f"{mean(shares):.4f}", aimed(mean(shares), MEAN_ACCURACY, least=True), ""))
    rows.append(("ours, least", f"{min(shares):.4f}", aimed(min(shares), LEAST_ACCURACY, least=True), ""))
    for name, peer in peers.items():
        started = time.perf_counter()
        share = peer()
        rows.append((name, f"{share:.4f}", "", f"{time.perf_counter() - started:.1f}"))
    yield table(("what", "test accuracy", "target", "s"), rows)


def fashion_peers(data: Dataset, data_dir: Path, *, scikit_learn: bool) -> dict[str, Callable[[], float]]:
    """Make the peers on Fashion-MNIST."""
    peers: dict[str, Callable[[], float]] = {"the textbook's script, seed 0": lambda: textbook.run(data_dir)}
    if scikit_learn:
        for solver, iterations in SCIKIT_LEARN.items():
            name = f"scikit-learn, {solver}, {iterations} iterations"
            peers[name] = lambda solver=solver, iterations=iterations: scikit_learn_accuracy(data, solver, iterations)  # type: ignore[misc]
    return peers


def scikit_learn_accuracy(data: Dataset, solver: str, iterations: int) -> float:
    """Test accuracy of scikit-learn's logistic regression with its default penalty, on standardised pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(solver=solver, max_iter=iterations, random_state=0)
        classifier.fit(standardised(data.train, data.train).astype(np.float32), data.train.targets.numpy())
    return float(classifier.score(standardised(data.test, data.train).astype(np.float32), data.test.targets.numpy()))


def recounted(model: Model, split: Split) -> float:
    """Accuracy, recomputed with numpy in double precision."""
    pixels = split.images.numpy().astype(np.float64)  # [N, H, W, C]
    features = ((pixels - model.mean.numpy()) / model.std.numpy()).reshape(len(split), -1)
    logits = features @ model.weights.T.numpy().astype(np.float64) + model.bias.numpy()  # [N, K]
    return float((logits.argmax(axis=1) == split.targets.numpy()).mean())


@dataclass(frozen=True)
class Optimum:
    """What a solver found.

    weights: [D, K].
    bias: [K].
    iterations: epochs of ours, iterations of scikit-learn.
    """

    weights: Floats
    bias: Floats
    iterations: int
    seconds: float


def optima(problems: dict[str, Dataset], decays: tuple[float, ...] = DECAYS) -> Iterator[str]:
    """Yield a table for each problem: the objective that L-BFGS reaches, ours and scikit-learn's."""
    head = ("images", "λ", "ours", "iterations", "s", "scikit-learn", "iterations", "s", "ours higher by", "target")
    for name, data in problems.items():
        rows = []
        features, targets = standardised(data.train, data.train), data.train.targets.numpy()
        for decay in decays:
            ours, peer = our_optimum(data, decay), scikit_learn_optimum(features, targets, decay)
            mine, theirs = (objective(features, targets, found.weights, found.bias, decay) for found in (ours, peer))
            higher = mine / theirs - 1
            row: list[object] = [name, f"{decay:g}"]
            for value, found in ((mine, ours), (theirs, peer)):
                row += [f"{value:.7f}", found.iterations, f"{found.seconds:.1f}"]
            rows.append([*row, f"{higher:+.1e}", aimed(higher, HIGHER)])
        yield table(head, rows)


def fashion_and_digits(data_dir: Path) -> dict[str, Dataset]:
    """Load all digits, and the first Fashion-MNIST images."""
    fashion = load_data("fashion-mnist", data_dir=data_dir)
    few = Split(fashion.train.images[:FEW_IMAGES], fashion.train.targets[:FEW_IMAGES])
    first = Dataset(name=fashion.name, labels=fashion.labels, train=few, test=fashion.test)
    return {"digits": load_data("digits"), f"first {FEW_IMAGES:,} of Fashion-MNIST": first}


def our_optimum(data: Dataset, decay: float) -> Optimum:
    """Fit with L-BFGS."""
    started = time.perf_counter()
    fitted = fit(data, FitConfig(solver="lbfgs", weight_decay=decay, device="cpu"))
    seconds = time.perf_counter() - started
    weights, bias = (tensor.double().numpy() for tensor in (fitted.model.weights, fitted.model.bias))
    return Optimum(weights.T, bias, len(fitted.history), seconds)


def scikit_learn_optimum(features: Floats, targets: NDArray[np.int64], decay: float) -> Optimum:
    """Fit scikit-learn's logistic regression to the same objective: its C is 1 / (λ · N)."""
    started = time.perf_counter()
    classifier: Any = LogisticRegression(C=1 / (decay * len(targets)), max_iter=5000).fit(features, targets)
    seconds = time.perf_counter() - started
    return Optimum(classifier.coef_.T, classifier.intercept_, int(classifier.n_iter_.max()), seconds)


def objective(features: Floats, targets: NDArray[np.int64], weights: Floats, bias: Floats, decay: float) -> float:
    """Mean cross-entropy + λ/2 · ‖W‖², in double precision. features: [N, D]. weights: [D, K]."""
    logits = features @ weights + bias  # [N, K]
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(targets)), targets]  # [N]
    return float(losses.mean() + decay / 2 * np.sum(weights**2))


def standardised(split: Split, train: Split) -> Floats:
    """Standardise pixels as the trainer does, by the training pixels' mean and standard deviation: float64 [N, D]."""
    mean, std = (statistic.numpy().astype(np.float64) for statistic in pixel_statistics(train.images))
    pixels = split.images[:].to(torch.float64).numpy()  # [N, H, W, C]
    pixels -= mean
    pixels /= std
    return pixels.reshape(len(split), -1)
