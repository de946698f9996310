"""The trained model's probabilities: scaled pixels, temperature and bias, against torch."""

from dataclasses import replace

import numpy as np
import torch

from export.gate.parity import reference_probabilities
from runtime import ImageContract
from runtime.decision import Decision
from trainer import Checkpoint


def test_the_reference_is_torchs() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 3, 2, 3), np.uint8)
    plain = Checkpoint(
        weights=rng.normal(0, 1, (18, 4)).astype(np.float32),
        bias=rng.normal(0, 1, 4).astype(np.float32),
        mean=np.array([100, 120, 90], np.float32),
        std=np.array([50, 60, 70], np.float32),
        golden_images=images,
        golden_probabilities=np.zeros((20, 4), np.float32),
        sample_images=images,
        labels=("a", "b", "c", "d"),
        image=ImageContract(height=3, width=2, color="RGB"),
        provenance={},
    )
    centre, scale = rng.uniform(50, 200, 18).astype(np.float32), rng.uniform(20, 90, 18).astype(np.float32)
    decision = Decision(temperature=2.5, bias=(0.5, -1.0, 0.25, 0.0))
    for checkpoint in (plain, replace(plain, centre=centre, scale=scale), replace(plain, decision=decision)):
        x = torch.from_numpy(images).double()
        if checkpoint.centre is None:
            features = ((x - torch.from_numpy(plain.mean)) / torch.from_numpy(plain.std)).flatten(1)
        else:
            features = (x.flatten(1) - torch.from_numpy(centre)) / torch.from_numpy(scale)
        logits = features @ torch.from_numpy(plain.weights).double() + torch.from_numpy(plain.bias)
        if checkpoint.decision:
            logits = logits / 2.5 + torch.tensor(decision.bias)
        np.testing.assert_allclose(reference_probabilities(checkpoint, images), logits.softmax(1), atol=1e-12)
