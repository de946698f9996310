"""The device that computes, and what fits there."""

import pytest
import torch

from trainer import ConfigError, Dataset
from trainer.data.device import choose_device, place, threads_for


def test_a_device_that_is_not_there() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ConfigError, match=f"expected {absent}, found no such device in torch .*: use --device cpu"):
        choose_device(absent)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


def test_images_that_do_not_fit_on_the_device_stay_where_they_are(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data.device.free_on", lambda *_: 100.0)
    assert place([tiny.train], torch.device("cpu"), 2**30) == [tiny.train]


def test_small_work_gets_one_thread_and_the_setting_comes_back() -> None:
    before = torch.get_num_threads()
    with threads_for(100):
        assert torch.get_num_threads() == 1
    with threads_for(2**40):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_splits_take_the_memory_limit_in_their_order(tiny: Dataset) -> None:
    """Room for one of the two: the first one."""
    size, cpu = tiny.train.images.nbytes, torch.device("cpu")
    first, second = place([tiny.test, tiny.train], cpu, int(1.5 * size))
    assert first is not tiny.test
    assert second is tiny.train
