"""Starts Python twice, as torchrun does but without its agent."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def in_two_processes(*arguments: str | Path, **more: str) -> list[tuple[int, str]]:
    """Run Python twice, with more variables: status and standard error of each rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, *map(str, arguments)]
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            command, env=environment(RANK=rank, LOCAL_RANK=rank, **where, **more), stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    said = [rank.communicate(timeout=120)[1] for rank in ranks]
    return [(rank.returncode, error) for rank, error in zip(ranks, said, strict=True)]
