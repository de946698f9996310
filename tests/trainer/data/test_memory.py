"""How much memory images may take, and images that take more than that."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.interpreter import UNMEASURED, Kit, run_python
from trainer import ConfigError, Dataset, FitConfig, fit
from trainer.data import memory
from trainer.options import size_in_bytes

MB = 2**20


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("1KB", 1000), ("1 kib", 1024), ("1.5GiB", 3 * 2**29), ("2GB", 2 * 10**9), ("3m", 3 * 10**6)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "1XB", "GB", "1GBit"])
def test_sizes_that_are_none(text: str, run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--memory-limit", text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected a size such as 512MB or 2GiB" in result.stderr


def test_a_limit_that_is_too_small(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--memory-limit", "1MB")
    assert result.exit_code == 1
    assert "memory_limit: expected at least 16,777,216 bytes, 16 MiB, found 1,000,000" in result.stderr
    with pytest.raises(ConfigError):
        memory.limit_or_default(0)


def test_the_default_is_half_of_what_is_free_shared_by_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 800 * MB)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory.limit_or_default(None) == 400 * MB
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.limit_or_default(None) == 100 * MB
    assert memory.limit_or_default(123 * MB) == 123 * MB


def test_the_window_is_the_same_wherever_there_is_a_gigabyte() -> None:
    assert [memory.window_for(limit) for limit in (2**30, 2**33, 10**12)] == [2**28] * 3
    assert memory.window_for(2**30 - 1) == 2**27
    assert memory.window_for(memory.LEAST_LIMIT) == 4 * MB


def test_control_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "groups" / "box" / "task"
    group.mkdir(parents=True)
    (tmp_path / "own").write_text("1:cpu:/\n0::/box/task\n")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "own")
    free = memory.available()
    assert free > 300 * MB
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text(f"{300 * MB}\n")
    (group.parent / "memory.stat").write_text(f"anon {100 * MB}\nfile {90 * MB}\n")
    assert memory.available() == 200 * MB


@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="the system has no ulimit that psutil knows")
def test_limits_of_the_process_count() -> None:
    code = """
import resource
import psutil
from trainer.data.memory import available
before = available()
used = psutil.Process().memory_info().data
resource.setrlimit(resource.RLIMIT_DATA, (used + 2**28, used + 2**28))
print(before > 2**28, 2**27 < available() <= 2**28)
"""
    assert run_python(code).stdout == "True True\n"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """410 MB of images with a limit of 16 MiB: the file's pages are released as they are read.

    A kernel may map 2 MB for a byte, and 4 MB that are taken at once come from up to 64 places: two of them take 256 MB
    at most.
    """
    images = np.random.default_rng(0).integers(0, 256, (100_000, 64, 64, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    code = """
from pathlib import Path
import numpy as np
from trainer import FitConfig, fit

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:"))

images, targets = np.load(sys.argv[1], mmap_mode="r"), np.arange(100_000) % 2
most = 0

def watch(_):
    global most
    most = max(most, resident())

fit((images[:1000], targets[:1000]), FitConfig(epochs=1, device="cpu"))
before = resident()
fit((images, targets), FitConfig(epochs=1, device="cpu"), memory_limit=2**24, on_batch=watch)
print(most - before)
"""
    result = run_python(code, tmp_path / "images.npy", environment=UNMEASURED)
    assert int(result.stdout) < 300, result.stderr  # MB


def test_a_small_window_learns_as_well_as_a_full_shuffle(fashion: Dataset) -> None:
    """Also where the images lie sorted by class, which is the worst that blocks can meet."""
    order = fashion.train.targets.argsort(stable=True)
    by_class = Dataset(name="sorted", labels=fashion.labels, train=fashion.train.subset(order), test=fashion.test)
    full = fit(fashion, FitConfig(device="cpu")).history[-1].test_accuracy
    for data in (fashion, by_class):
        found = fit(data, FitConfig(device="cpu", shuffle_window=4 * MB)).history[-1].test_accuracy
        assert abs(found - full) < 0.002
