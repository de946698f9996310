"""The order in which images come."""

import pytest
import torch

from trainer.data.order import in_blocks, in_order, shuffled


def test_each_epoch_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(window: int, seed: int = 3, epoch: int = 1) -> torch.Tensor:
        return torch.cat(list(shuffled(1000, 1, window=window, seed=seed, epoch=epoch)))

    monkeypatch.setattr("trainer.data.order.LEAST_BLOCK", 1)
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
    monkeypatch.setattr("trainer.data.order.BLOCKS_PER_WINDOW", 4)
    monkeypatch.setattr("trainer.data.order.LEAST_BLOCK", 1)
    windows = list(shuffled(1003, 5, window=200, seed=0, epoch=1))
    assert [len(window) for window in windows].count(40) >= 24
    assert max(map(len, windows)) == 40
    for window in windows:
        blocks, images = (window // 10).unique(return_counts=True)
        assert len(blocks) <= 4
        assert set(images.tolist()) <= {10, 3}
        assert not torch.equal(window, window.sort().values)
    assert int((windows[0] // 10).unique().diff().max()) > 1


def test_blocks_grow_from_one_minibatch_and_skip_some() -> None:
    blocks = list(in_blocks(in_order(100, 30), 4, 8, 1))
    assert [len(block) for block in blocks] == [4, 16, 32, 32, 12]
    assert torch.equal(torch.cat(blocks), torch.arange(4, 100))
