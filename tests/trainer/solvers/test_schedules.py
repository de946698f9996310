"""Learning rate schedules, against torch's."""

import pytest
import torch

from trainer.solvers.schedules import constant, cosine


def test_learning_rates_are_those_of_torchs_cosine_schedule() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    expected = []
    for _ in range(50):
        expected.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert list(cosine(0.3, 0, 50)) == pytest.approx(expected)
    assert list(cosine(0.3, 20, 50)) == pytest.approx(expected[20:])
    assert list(constant(0.3, 48, 50)) == [0.3, 0.3]
