"""Training to the end with everybody's default settings; each contender is a process of its own.

Nothing heavy is imported at the top: a contender's peak of memory is that of what it needs itself.
"""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..tools.measure import Figures, Found, check, fresh, medians
from ..tools.memory import memory

OURS = "ours"
SLOW = 60.0
SAGA_ITERATIONS = 100  # its default
FLOOR = 0.8

RATIOS = {"time, the whole process": "wall", "time, training alone": "seconds", "peak memory": "peak"}
FIGURES: dict[str, Callable[[Figures], object]] = {
    "test accuracy": lambda one: f"{one['accuracy']:.4f}",
    "whole process, s": lambda one: f"{one['wall']:.2f}",
    "training alone, s": lambda one: f"{one['seconds']:.2f}",
    "peak memory, MB": lambda one: f"{one['peak'] / 1e6:,.0f}",
    "": lambda one: one["note"],
}


def measure(folder: Path, *, rounds: int, iterations: int = SAGA_ITERATIONS, floor: float = FLOOR) -> Found:
    """Train with each contender, in turns, or once if it takes more than a minute.

    iterations: most iterations of saga.
    floor: test accuracy below which a contender has not learned.
    """
    contenders: dict[str, tuple[Callable[..., Figures], dict[str, Any]]] = {
        OURS: (ours, {}),
        "textbook: DataLoader, autograd, torch.optim.SGD": (textbook, {}),
        "scikit-learn LogisticRegression, lbfgs": (logistic, {"solver": "lbfgs", "iterations": 100}),
        f"scikit-learn LogisticRegression, saga, ≤ {iterations} iterations": (
            logistic,
            {"solver": "saga", "iterations": iterations},
        ),
        "scikit-learn SGDClassifier, log_loss": (sgd, {}),
    }
    runs: dict[str, list[Figures]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (train, settings) in contenders.items():
            if not runs[name] or runs[name][-1]["wall"] < SLOW:
                click.echo(f"training: {name}", err=True)
                runs[name].append(run(train, folder, settings))
    found = medians(runs)
    for name, figures in found.items():
        check(figures["accuracy"] >= floor, f"{name}: a test accuracy of at least {floor}", figures["accuracy"])
    return found


def run(train: Callable[..., Figures], folder: Path, settings: dict[str, Any]) -> Figures:
    """Train in a fresh process; compute the test accuracy from its answers."""
    import numpy as np

    from ..tools.subject import arrays

    started = time.perf_counter()
    figures = fresh(train, folder=str(folder), **settings)
    wall = time.perf_counter() - started
    targets = arrays(folder, "test")[1]
    answers = figures.pop("answers")
    check(len(answers) == len(targets), f"{len(targets)} answers", len(answers))
    return {**figures, "wall": wall, "accuracy": float(np.mean(np.array(answers) == targets))}


def ours(folder: str) -> Figures:
    """Train with this kit's defaults."""
    from trainer import fit

    from ..tools.subject import arrays, dataset

    data = dataset(folder)
    started = time.perf_counter()
    fitted = fit(data)
    seconds = time.perf_counter() - started
    import torch

    answers = fitted.model.probabilities(torch.from_numpy(arrays(folder, "test")[0])).argmax(dim=1)
    return told(seconds, answers.tolist())


def textbook(folder: str) -> Figures:
    """Train as textbooks do: decode the images in each epoch, and test after it."""
    import torch

    from ..peers import textbook as book
    from ..tools.subject import SPLITS, arrays

    train, test = (
        book.Pictures(images[..., 0], targets) for images, targets in (arrays(folder, half) for half in SPLITS)
    )
    started = time.perf_counter()
    model, _ = book.fit(train, test, features=train[0][0].numel())
    seconds = time.perf_counter() - started
    with torch.no_grad():
        answers = [row for inputs, _ in book.batches(test, shuffle=False) for row in model(inputs).argmax(1).tolist()]
    return told(seconds, answers)


def logistic(folder: str, solver: str, iterations: int) -> Figures:
    """Train scikit-learn's logistic regression, with its other settings at their defaults."""
    from sklearn.linear_model import LogisticRegression

    return scikit_learn(LogisticRegression(solver=solver, max_iter=iterations, random_state=0), folder)


def sgd(folder: str) -> Figures:
    """Train scikit-learn's SGDClassifier with cross-entropy, and its other settings at their defaults."""
    from sklearn.linear_model import SGDClassifier

    return scikit_learn(SGDClassifier(loss="log_loss", random_state=0), folder)


def scikit_learn(model: Any, folder: str) -> Figures:
    """Train a classifier of scikit-learn's on pixels in 0-1."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning

    from ..tools.subject import rows

    features, targets = rows(folder, "train")
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, targets)
    seconds = time.perf_counter() - started
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    answers = model.predict(rows(folder, "test")[0]).tolist()
    taken = int(np.max(model.n_iter_))
    return told(seconds, answers, f"{'did not converge' if stopped else 'stopped by itself'} in {taken} iterations")


def told(seconds: float, answers: list[int], note: str = "") -> Figures:
    """Collect a contender's figures."""
    return {"seconds": seconds, "answers": answers, "note": note, "peak": memory("VmHWM")}
