"""From a split to minibatches, and the fast rows held to those of the chapter."""

import pytest
import torch

from trainer import Dataset, Model, Split
from trainer.data.mapped import take
from trainer.data.minibatches import RowBuffer, minibatches
from trainer.distributed import Group
from trainer.softmax_regression import one_hot


def model_of(classes: int) -> Model:
    """A model of the tiny images that takes pixels as they are."""
    return Model(weights=torch.zeros(classes, 90), bias=torch.zeros(classes), mean=torch.zeros(3), std=torch.ones(3))


@pytest.fixture
def plain() -> Model:
    return model_of(3)


def test_minibatches_hold_every_image_once(tiny: Dataset) -> None:
    numbered, plain = Split(tiny.train.images, torch.arange(120)), model_of(120)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    seen = [targets for _, targets, _ in minibatches(plain, numbered, 50, cpu, order=[order])]
    assert [len(targets) for targets in seen] == [50, 50, 20]
    assert torch.equal(torch.cat(seen), order)
    for features, targets, _ in minibatches(plain, numbered, 50, cpu, order=order.split(33)):
        assert torch.equal(features, tiny.train.images[targets].flatten(1).float())
    assert torch.equal(
        torch.cat([targets for _, targets, _ in minibatches(plain, numbered, 50, cpu)]), torch.arange(120)
    )
    assert torch.equal(
        torch.cat([targets for _, targets, _ in minibatches(plain, numbered, 50, cpu, order=order.split(33), skip=2)]),
        order[100:],
    )


def test_blocks_do_not_change_the_minibatches(tiny: Dataset, plain: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    whole = [(images.clone(), targets) for images, targets, _ in minibatches(plain, tiny.train, 7, cpu, order=[order])]
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 1)
    for (images, targets), (other_images, other_targets, _) in zip(
        whole, minibatches(plain, tiny.train, 7, cpu, order=order.split(50)), strict=True
    ):
        assert torch.equal(images, other_images)
        assert torch.equal(targets, other_targets)


@pytest.mark.parametrize("group", [Group(0, 1), Group(1, 2)])
def test_the_one_hot_targets_are_those_of_the_minibatch(tiny: Dataset, plain: Model, group: Group) -> None:
    sizes = set()
    for batch in minibatches(plain, tiny.train, 7, torch.device("cpu"), group=group):
        sizes.add(len(batch.targets))
        assert torch.equal(batch.onehot, one_hot(batch.targets, 3))
    assert len(sizes) == 2, "the last minibatch is smaller"


def test_a_row_buffer_standardises_as_the_model_does(tiny: Dataset) -> None:
    mean, std = torch.tensor([120.0, 90.0, 30.0]), torch.tensor([70.0, 40.0, 3.0])
    model = Model(weights=torch.zeros(3, 90), bias=torch.zeros(3), mean=mean, std=std)
    rows = RowBuffer(model, 50)
    for images in tiny.train.images.split(50):
        found = rows.features(images.flatten(1))
        torch.testing.assert_close(found, model.features(images), rtol=1e-5, atol=1e-5)
    first = rows.features(tiny.train.images[:50].flatten(1))
    assert rows.features(tiny.train.images[50:100].flatten(1)) is first, "the memory is the same each time"


def test_the_first_block_is_one_minibatch_and_later_ones_are_larger(
    tiny: Dataset, plain: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def counted(images: torch.Tensor, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        taken.append(len(rows))
        return take(images, rows, out)

    monkeypatch.setattr("trainer.data.minibatches.take", counted)
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 8 * 4 * (90 + 3 * 4))
    sizes = [len(targets) for _, targets, _ in minibatches(plain, tiny.train, 4, torch.device("cpu"), skip=1)]
    assert sizes == [4] * 29
    assert taken == [4, 16, 32, 32, 32]


def test_a_block_that_cannot_be_read_stops_the_fit(tiny: Dataset, plain: Model) -> None:
    beyond = torch.tensor([0, 1, 500])
    with pytest.raises((IndexError, RuntimeError)):
        list(minibatches(plain, tiny.train, 2, torch.device("cpu"), order=[beyond]))
