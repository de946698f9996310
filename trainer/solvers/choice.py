"""The choice of weight decay: by the loss on images that are held out of the training images."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import Choice
from ..softmax_regression import cross_entropy, cross_entropy_gradient, one_hot, softmax
from .minimise import Minimiser

LARGEST, SMALLEST, STEP = 10.0, 1e-6, 10**0.5  # weight decay, from the first to the last
FOLDS, FOLDS_BELOW = 5, 1500  # images, from which on one fold is enough
DIRECTIONS = 1024
LEAST_VARIANCE = 1e-6  # of the largest, below which a direction is left out
ITERATIONS, TOLERANCE = 30, 1e-3
GAIN = 3e-3  # share by which a smaller loss counts as smaller
ENDURED = 2
UNKNOWN = 0.1  # where no image can be held out


class Basis(NamedTuple):
    """Directions in which features vary most, a principal component each.

    directions: [D, R], orthonormal, at most 1,024.
    variances: [R], second moments along them.
    """

    directions: Tensor
    variances: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Basis":
        """Find the directions of features [N, D]: of all, or of every so many of N where there are more of both."""
        some = features
        if min(features.shape) > DIRECTIONS:
            some = features[torch.arange(DIRECTIONS) * len(features) // DIRECTIONS]
        wide = some.shape[1] > len(some)
        moments, vectors = torch.linalg.eigh(((some @ some.T) if wide else (some.T @ some)).double())
        kept = moments > LEAST_VARIANCE * moments[-1].clamp(min=torch.finfo(features.dtype).tiny)
        moments, vectors = moments[kept], vectors[:, kept]
        directions = some.T @ (vectors / moments.sqrt()).to(some) if wide else vectors.to(some).contiguous()
        return cls(directions, (moments / len(some)).to(some))

    def precondition(self, gradient: Tensor, decay: float) -> Tensor:
        """Multiply by an estimate of the inverse Hessian, for weights and bias: [K, D + 1].

        The Hessian is at most (I − 11ᵀ/K)/2 ⊗ the second moments, plus λ (Böhning 1992); here it is a K-th of that, as
        for probabilities of 1/K. Other directions count as the least of these.
        """
        curvature = 0.5 / len(gradient)
        weights, bias = gradient[:, :-1], gradient[:, -1:]
        rest = 1 / (curvature * float(self.variances.min()) + decay) if len(self.variances) else 1.0
        inverse = 1 / (curvature * self.variances + decay)
        along = ((weights @ self.directions) * (inverse - rest)) @ self.directions.T
        return torch.cat((along.add_(weights, alpha=rest), bias / curvature), dim=1)


class Objective:
    """Mean cross-entropy plus λ/2 · ‖W‖² of images in memory.

    features: [N, R + 1], the last of them 1.
    targets: int64 [N].
    class_weights: float32 [K], or None for 1.
    """

    def __init__(self, features: Tensor, targets: Tensor, classes: int, class_weights: Tensor | None) -> None:
        self._features, self._targets, self._class_weights = features, targets, class_weights
        self._onehot = one_hot(targets, classes)
        self.decay = LARGEST

    def __call__(self, parameters: Tensor) -> tuple[float, Tensor]:
        """Value and gradient at weights and bias, [K, R + 1]."""
        logits, weights = parameters @ self._features.T, parameters[:, :-1]
        loss = float(cross_entropy(logits, self._targets, self._class_weights))
        gradient = cross_entropy_gradient(softmax(logits), self._onehot, self._class_weights) @ self._features
        gradient[:, :-1].add_(weights, alpha=self.decay)
        return loss + self.decay / 2 * float(weights.square().sum()), gradient

    def loss(self, parameters: Tensor) -> float:
        """Sum of the losses of all images."""
        return float(cross_entropy(parameters @ self._features.T, self._targets, self._class_weights)) * len(self)

    def __len__(self) -> int:
        return len(self._targets)


def choose(
    features: Tensor, targets: Tensor, basis: Basis, class_weights: Tensor | None, classes: int, *,
    seed: int, copies: int = 1, stop: Callable[[], bool],
) -> tuple[Choice, Tensor] | None:  # fmt: skip
    """Choose λ, from a large one to smaller ones until the validation loss falls no more; None when stopped.

    Returns the choice, and weights and bias to start from: [K, D + 1], the mean of those of all folds.

    features: float32 [N, D], scaled. targets: int64 [N]. class_weights: float32 [K], or None for 1.
    seed: of the folds.
    copies: how many times each image is among them, all of them in the same fold.
    stop: asked before each λ.
    """
    reduced = torch.cat((features @ basis.directions, torch.ones(len(features), 1)), dim=1)
    images = len(targets) // copies
    part, folds = deal(targets[:images], FOLDS, seed).repeat(copies), FOLDS if images < FOLDS_BELOW else 1
    halves = [_Fold(reduced, targets, part == fold, basis.variances, class_weights, classes) for fold in range(folds)]
    halves = [fold for fold in halves if len(fold.held)]
    losses: list[tuple[float, float]] = []
    best, chosen, decay, waited = math.inf, 0, LARGEST, 0
    start = torch.zeros(classes, reduced.shape[1])
    while halves and waited < ENDURED and decay >= SMALLEST / STEP**0.5:
        if stop():
            return None
        losses.append((decay, sum(fold.loss(decay) for fold in halves) / sum(len(fold.held) for fold in halves)))
        waited += 1
        if losses[-1][1] < (1 - GAIN) * best:
            best, chosen, waited = losses[-1][1], len(losses) - 1, 0
            start = torch.stack([fold.minimiser.parameters for fold in halves]).mean(0)
        decay /= STEP
    found = losses[chosen][0] * STEP ** _vertex([loss for _, loss in losses], chosen) if losses else UNKNOWN
    choice = Choice(weight_decay=found, images=len(targets), folds=folds, losses=tuple(losses))
    return choice, torch.cat((start[:, :-1] @ basis.directions.T, start[:, -1:]), dim=1)


def deal(targets: Tensor, parts: int, seed: int) -> Tensor:
    """Give each image a part, 0 to parts − 1, at random, each class spread over all of them: int64 [N] → int64 [N]."""
    part = torch.empty_like(targets)
    part[by_class(targets, seed)] = torch.arange(len(targets)) % parts
    return part


def by_class(targets: Tensor, seed: int) -> Tensor:
    """Rows of the images, class after class, each in random order: int64 [N] → int64 [N]."""
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    return order[targets[order].argsort(stable=True)]


def _vertex(losses: list[float], least: int) -> float:
    """How many steps before the least loss the vertex of the parabola through it and its neighbours is."""
    if not 0 < least < len(losses) - 1:
        return 0.0
    before, here, after = losses[least - 1 : least + 2]
    bend = before - 2 * here + after
    return max(-1.0, min(1.0, (after - before) / (2 * bend))) if bend > 0 else 0.0


class _Fold:
    """Images to fit to, and images held out; of these, those whose class is among the first."""

    def __init__(
        self, features: Tensor, targets: Tensor, held: Tensor, variances: Tensor, class_weights: Tensor | None,
        classes: int,
    ) -> None:  # fmt: skip
        known = targets[~held].bincount(minlength=classes) > 0
        held, fitted = held & known[targets], ~held
        self.held = Objective(features[held], targets[held], classes, class_weights)
        self._objective = Objective(features[fitted], targets[fitted], classes, class_weights)
        self._curvature, self._classes = torch.cat((variances, torch.ones(1))) / (2 * classes), classes
        self._penalised = torch.cat((torch.ones(len(variances)), torch.zeros(1)))
        self._inverse = self._curvature
        self.minimiser = Minimiser(
            self._objective, torch.zeros(classes, features.shape[1]), lambda gradient: gradient * self._inverse
        )

    def loss(self, decay: float) -> float:
        """Go on to another λ; return the sum of the held-out images' losses."""
        more, self._objective.decay = decay - self._objective.decay, decay
        self._inverse = 1 / (self._curvature + decay * self._penalised)
        self.minimiser.change(more * self._penalised)
        self.minimiser.run(ITERATIONS, TOLERANCE)
        return self.held.loss(self.minimiser.parameters)
