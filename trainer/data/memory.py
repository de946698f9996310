"""The memory limit: how much memory is free, and how much of it images may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from ..errors import ConfigError

SHARE = 0.5
LEAST_LIMIT = 2**24
LARGEST_WINDOW = 2**28
WINDOWS = 4  # that fit into the limit
CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def limit_or_default(limit: int | None) -> int:
    """Return the limit in bytes, or half of what is free for each of the processes that train on this machine.

    Raises ConfigError for less than 16 MiB.
    """
    if limit is None:
        return max(LEAST_LIMIT, int(SHARE * available()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if limit < LEAST_LIMIT:
        raise ConfigError(f"memory_limit: expected at least {LEAST_LIMIT:,} bytes, 16 MiB, found {limit:,}")
    return limit


def window_for(limit: int) -> int:
    """Bytes of images to shuffle among each other within a memory limit: a power of two, at most 256 MiB.

    From a limit of 1 GiB on it is the same for all, so that the weights do not depend on a machine's memory.
    """
    return int(min(LARGEST_WINDOW, 2 ** ((limit // WINDOWS).bit_length() - 1)))


def free_on(device: torch.device, limit: int) -> float:
    """Bytes that a device has free for images; the limit is the CPU's."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return float(limit)


def available() -> int:
    """Bytes that this process may still take: of the machine, of its control group, of its own limits."""
    return max(0, min([psutil.virtual_memory().available, *_of_groups(), *_of_limits()]))


def _of_groups() -> Iterator[int]:
    """What Linux's control groups leave, such as a container's: theirs and those around them."""
    try:
        name = next(line[3:] for line in OWN_GROUP.read_text().splitlines() if line.startswith("0::"))
        group = CONTROL_GROUPS / name.lstrip("/")
        for folder in (group, *group.parents):
            largest = folder / "memory.max"
            if largest.exists() and largest.read_text().strip() != "max":
                fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                yield int(largest.read_text()) - int(fields["anon"])
    except (OSError, StopIteration, ValueError, KeyError):
        return  # no Linux, or groups of the first version


def _of_limits() -> Iterator[int]:
    """What `ulimit` leaves of the memory of this process's own, and of its addresses."""
    process = psutil.Process()
    if not hasattr(process, "rlimit"):
        return
    used = process.memory_info()
    for limit, now in ((psutil.RLIMIT_DATA, used.data), (psutil.RLIMIT_AS, used.vms)):
        soft, _ = process.rlimit(limit)
        if soft != psutil.RLIM_INFINITY:
            yield soft - now
