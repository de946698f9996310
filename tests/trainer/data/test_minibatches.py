"""From a split to minibatches: where images live, the order in which they come, threads."""

import pytest
import torch

from trainer import ConfigError, Dataset, Model, Split
from trainer.data.mapped import take
from trainer.data.minibatches import choose_device, minibatches, place, shuffled, threads_for
from trainer.distributed import Group


def test_a_device_that_is_not_there() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ConfigError, match=f"expected {absent}, found none that torch .* can use: take --device cpu"):
        choose_device(absent)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


@pytest.fixture
def plain() -> Model:
    """A model of the tiny images that takes pixels as they are."""
    return Model(weights=torch.zeros(90, 3), bias=torch.zeros(3), mean=torch.zeros(3), std=torch.ones(3))


def test_minibatches_hold_every_image_once(tiny: Dataset, plain: Model) -> None:
    numbered = Split(tiny.train.images, torch.arange(120))
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    seen = [targets for _, targets in minibatches(plain, numbered, 50, cpu, order=[order])]
    assert [len(targets) for targets in seen] == [50, 50, 20]
    assert torch.equal(torch.cat(seen), order)
    for features, targets in minibatches(plain, numbered, 50, cpu, order=order.split(33)):
        assert torch.equal(features, tiny.train.images[targets].flatten(1).float())
    assert torch.equal(torch.cat([targets for _, targets in minibatches(plain, numbered, 50, cpu)]), torch.arange(120))
    assert torch.equal(
        torch.cat([targets for _, targets in minibatches(plain, numbered, 50, cpu, order=order.split(33), skip=2)]),
        order[100:],
    )


def test_blocks_do_not_change_the_minibatches(tiny: Dataset, plain: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    whole = [(images.clone(), targets) for images, targets in minibatches(plain, tiny.train, 7, cpu, order=[order])]
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 1)
    for (images, targets), (other_images, other_targets) in zip(
        whole, minibatches(plain, tiny.train, 7, cpu, order=order.split(50)), strict=True
    ):
        assert torch.equal(images, other_images)
        assert torch.equal(targets, other_targets)


@pytest.mark.parametrize("group", [Group(0, 1), Group(1, 2)])
def test_what_the_labels_add_to_the_gradient_is_made_beforehand(tiny: Dataset, plain: Model, group: Group) -> None:
    batches = minibatches(plain, tiny.train, 7, torch.device("cpu"), of_labels=True, group=group)
    sizes = set()
    for _, targets, of_labels in batches:
        sizes.add(len(targets))
        torch.testing.assert_close(of_labels, torch.nn.functional.one_hot(targets, 3).T / -len(targets))
    assert len(sizes) == 2, "the last minibatch is smaller"


def test_the_first_block_is_one_minibatch_and_later_ones_are_larger(
    tiny: Dataset, plain: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def counted(images: torch.Tensor, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        taken.append(len(rows))
        return take(images, rows, out)

    monkeypatch.setattr("trainer.data.minibatches.take", counted)
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 8 * 4 * 90)
    sizes = [len(targets) for _, targets in minibatches(plain, tiny.train, 4, torch.device("cpu"), skip=1)]
    assert sizes == [4] * 29
    assert taken == [4, 16, 32, 32, 32]


def test_images_that_do_not_fit_on_the_device_stay_where_they_are(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data.minibatches.free_on", lambda *_: 100.0)
    assert place(tiny.train, torch.device("cpu"), 2**30) is tiny.train


def test_a_block_that_cannot_be_read_stops_the_fit(tiny: Dataset, plain: Model) -> None:
    beyond = torch.tensor([0, 1, 500])
    with pytest.raises((IndexError, RuntimeError)):
        list(minibatches(plain, tiny.train, 2, torch.device("cpu"), order=[beyond]))


def test_small_work_gets_one_thread_and_the_setting_comes_back() -> None:
    before = torch.get_num_threads()
    with threads_for(100):
        assert torch.get_num_threads() == 1
    with threads_for(2**40):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_each_epoch_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(window: int, seed: int = 3, epoch: int = 1) -> torch.Tensor:
        return torch.cat(list(shuffled(1000, 1, window=window, seed=seed, epoch=epoch)))

    monkeypatch.setattr("trainer.data.minibatches.LEAST_BLOCK", 1)
    for window in (1000, 60):
        first = order(window)
        assert torch.equal(first, order(window))
        assert torch.equal(first.sort().values, torch.arange(1000))
        for other in (order(window, epoch=2), order(window, seed=4), order(window // 2)):
            assert not torch.equal(first, other)


def test_a_window_that_holds_all_images_is_a_random_permutation() -> None:
    (order,) = shuffled(1000, 784, window=784_000, seed=0, epoch=0)
    assert torch.equal(order, torch.randperm(1000, generator=torch.Generator().manual_seed(0)))


def test_a_window_takes_whole_blocks_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.minibatches.BLOCKS_PER_WINDOW", 4)
    monkeypatch.setattr("trainer.data.minibatches.LEAST_BLOCK", 1)
    windows = list(shuffled(1003, 5, window=200, seed=0, epoch=1))
    assert [len(window) for window in windows].count(40) >= 24
    assert max(map(len, windows)) == 40
    for window in windows:
        blocks, images = (window // 10).unique(return_counts=True)
        assert len(blocks) <= 4
        assert set(images.tolist()) <= {10, 3}
        assert not torch.equal(window, window.sort().values)
    assert int((windows[0] // 10).unique().diff().max()) > 1
