"""A container's quota, in the folders that Linux shows: of cgroups 1 and 2, inside a container and around it."""

import math
import os
from pathlib import Path

import pytest

from runtime.cgroup import quota
from runtime.processes import cpus

CASES: dict[str, tuple[str, dict[str, str], float]] = {
    "no cgroups": ("", {}, math.inf),
    "2, its own mount": ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    "2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "2, the host's path": ("0::/docker/1\n", {"cpu.max": "50000 100000\n"}, 0.5),
    "2, a group around it": ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2),
    "2, the least": ("0::/a/b\n", {"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "200000 100000\n"}, 1),
    "2, a path from outside": ("0::/../b\n", {"b/cpu.max": "100000 100000\n"}, 1),
    "2 beside 1": ("1:name=systemd:/\n0::/a\n", {"unified/a/cpu.max": "100000 100000\n"}, 1),
    "1": (
        "3:cpuset:/\n2:cpu,cpuacct:/docker/1\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        2.5,
    ),
    "1, another name of the mount": (
        "2:cpuacct,cpu:/a\n",
        {"cpu/a/cpu.cfs_quota_us": "100000\n", "cpu/a/cpu.cfs_period_us": "50000\n"},
        2,
    ),
    "1, no limit": ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
    "1, another controller": (
        "2:cpuset:/\n",
        {"cpuset/cpu.cfs_quota_us": "100000\n", "cpuset/cpu.cfs_period_us": "100000\n"},
        math.inf,
    ),
    "nonsense": ("x\n0::/\n", {"cpu.max": "\xff 0\n"}, math.inf),
    "a period of 0": ("0::/\n", {"cpu.max": "1 0\n"}, math.inf),
}


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.mark.parametrize("name", CASES)
def test_the_quota(name: str, tmp_path: Path) -> None:
    groups, files, expected = CASES[name]
    write(tmp_path, {"proc/self/cgroup": groups})
    write(tmp_path / "sys/fs/cgroup", files)
    assert quota(tmp_path) == expected


@pytest.mark.parametrize(("limit", "expected"), [("1000", 1), ("100000", 1), ("150000", 2), ("99900000", 8)])
def test_cpus_are_the_least_of_affinity_and_quota(
    limit: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{limit} 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cpus(tmp_path) == expected
