"""Likely wrong labels: cleanlab's ranking and its confident joint, and planted ones."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer import Dataset, FitConfig
from trainer.auditing.labels import label_scores, out_of_fold, suspects

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores


def answers(seed: int = 0, count: int = 400, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, count)
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), np.where(generator.random(count) < 0.1, (targets + 1) % classes, targets)] += 3
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32), targets


def test_the_ranking_is_cleanlabs() -> None:
    probabilities, targets = answers()
    theirs = get_label_quality_scores(targets, probabilities, method="self_confidence")
    np.testing.assert_allclose(label_scores(probabilities, targets), theirs, rtol=1e-6)


def test_the_suspects_are_those_of_cleanlab() -> None:
    """Off the diagonal of the confident joint, in the order of the self-confidence."""
    probabilities, targets = answers()
    theirs = find_label_issues(
        targets, probabilities, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    ours = suspects(probabilities, targets)
    assert len(set(ours) & set(theirs)) / len(set(ours) | set(theirs)) > 0.9
    assert ours[:10].tolist() == theirs[:10].tolist()


@pytest.fixture(scope="module")
def planted(digits: Dataset) -> tuple[Dataset, np.ndarray]:
    generator, targets = np.random.default_rng(0), digits.train.targets.numpy().copy()
    rows = generator.choice(len(targets), len(targets) * 3 // 100, replace=False)
    targets[rows] = (targets[rows] + generator.integers(1, 10, len(rows))) % 10
    return replace(digits, train=replace(digits.train, targets=torch.from_numpy(targets))), rows


def test_planted_labels_come_first(planted: tuple[Dataset, np.ndarray]) -> None:
    data, rows = planted
    seen: list[tuple[int, int]] = []
    probabilities = out_of_fold(data, FitConfig(device="cpu"), progress=lambda *done: seen.append(done))
    targets = data.train.targets.numpy()
    first = np.argsort(label_scores(probabilities, targets))[: len(targets) // 20]
    assert np.isin(rows, first).mean() > 0.9
    assert seen == [(fold, 5) for fold in range(1, 6)]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_no_image_is_seen_by_its_own_model(tiny: Dataset) -> None:
    """An image of which there is no other has, out of fold, the label of the others of its kind."""
    targets = tiny.train.targets.clone()
    targets[0] = 2  # the darkest class, labelled as the brightest
    data = replace(tiny, train=replace(tiny.train, targets=targets))
    probabilities = out_of_fold(data, FitConfig(device="cpu"))
    assert probabilities[0].argmax() == 0
    assert suspects(probabilities, targets.numpy())[0] == 0
