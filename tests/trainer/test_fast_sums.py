"""The fast sums, held to those of the chapter."""

import pytest
import torch

from trainer.distributed import Group
from trainer.fast_sums import FastAccumulator, fast_accuracy
from trainer.softmax_regression import Accumulator, accuracy

CLASS_WEIGHTS = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 0.7])


class Twins(Group):
    """Two processes that see the same images; this is one of them."""

    def __init__(self) -> None:
        super().__init__(rank=0, size=2)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        assert tensor.dtype == torch.float64
        return tensor.mul_(2)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(7, 64, generator=torch.Generator().manual_seed(0)) * 5


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, 7, (64,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 16, 63, 64, 65, 150])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
def test_the_sums_are_those_of_the_chapter(
    logits: torch.Tensor, targets: torch.Tensor, count: int, class_weights: torch.Tensor | None
) -> None:
    plain, fast = Accumulator(class_weights), FastAccumulator(class_weights=class_weights)
    for turn in range(count):
        shifted = logits.roll(turn, 1)[:, : 64 - turn % 3]
        plain.add(shifted, targets[: 64 - turn % 3])
        fast.add(shifted, targets[: 64 - turn % 3])
    assert fast.sums() == pytest.approx((plain.loss, plain.correct, plain.images), rel=1e-5)
    assert fast.means() == pytest.approx(plain.means(), rel=1e-5)


def test_an_interrupted_epoch_continues_from_its_sums(logits: torch.Tensor, targets: torch.Tensor) -> None:
    whole, first = FastAccumulator(), FastAccumulator()
    for sums in (whole, first):
        sums.add(logits, targets)
    second = FastAccumulator(*first.sums())
    for sums in (whole, second):
        sums.add(logits.flip(1), targets)
    assert second.sums() == pytest.approx(whole.sums())


def test_it_begins_at_nothing_and_takes_empty_minibatches(logits: torch.Tensor, targets: torch.Tensor) -> None:
    sums = FastAccumulator()
    assert sums.sums() == (0, 0, 0)
    sums.add(logits[:, :0], targets[:0])
    assert sums.sums() == (0, 0, 0)
    sums.add(logits, targets)
    assert sums.sums()[2] == 64
    assert sums.sums()[2] == 64, "reading changes nothing"


def test_it_sums_over_the_processes(logits: torch.Tensor, targets: torch.Tensor) -> None:
    alone, together = FastAccumulator(), FastAccumulator(group=Twins())
    for sums in (alone, together):
        sums.add(logits, targets)
    assert together.sums() == pytest.approx([2 * value for value in alone.sums()])
    assert together.means() == pytest.approx(alone.means())


def test_fast_accuracy_is_that_of_the_chapter(logits: torch.Tensor, targets: torch.Tensor) -> None:
    assert fast_accuracy(logits, targets) == accuracy(logits, targets)
    tied = logits.round().clamp(-2, 2)
    assert fast_accuracy(tied, targets) == accuracy(tied, targets)
