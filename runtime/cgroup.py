"""The processor time that a container may use, by its control group: Linux' cgroups, versions 1 and 2."""

import math
from pathlib import Path

from .origin import raised_by

OF_PROCESS = "proc/self/cgroup"
MOUNT = "sys/fs/cgroup"


def quota(root: Path) -> float:
    """Return how many cores' time this process may use; infinity for no limit.

    root: the folder of `proc` and `sys`.
    The least limit of the process's group and of those around it. Inside a container the group's path may be the
    host's, of which only the container's own part is mounted: what is not there has no limit.
    """
    least = math.inf
    for line in _read(root / OF_PROCESS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        names = [name for name in path.split("/") if name not in ("", "..")]
        for mount in (controllers, "cpu") if controllers else ("", "unified"):
            groups = [root.joinpath(MOUNT, mount, *names[:count]) for count in range(len(names) + 1)]
            least = min(least, *map(_limit, groups))
    return least


def _limit(group: Path) -> float:
    """Return the cores' time that one group may use, by cpu.max or, in version 1, by its two files."""
    found = _read(group / "cpu.max") or _read(group / "cpu.cfs_quota_us") + _read(group / "cpu.cfs_period_us")
    try:
        time, period = map(float, found.split())
    except ValueError:  # "max", or no such file
        return math.inf
    return time / period if time > 0 and period > 0 else math.inf


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if not raised_by(error):
            raise
        return ""
