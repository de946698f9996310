"""A model in C as an artefact: compiled, then asked as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolchainError
from ..image import Pixels
from .programs import AVR, FLASH_OF_AVR, RUN, SELFTEST, Program, build, execute, integer_macros
from .reading import Source, read_source
from .targets import HOST

UNITS = 65536  # of a probability without floating point
AVR_ROOM = 4096  # bytes of flash behind the program that are not counted on


class Layout(NamedTuple):
    """What a row of a camera's frame holds: its number in C, and bytes of a pixel."""

    name: str
    number: int
    size: int


LAYOUTS = (Layout("grey", 0, 1), Layout("RGB", 1, 3), Layout("RGB565", 2, 2), Layout("RGB565, high byte first", 3, 2))


class CompiledModel:
    """A model in C, compiled for a target.

    path: folder or library that `kit export` wrote.
    target: a key of TARGETS.
    integer: whether without floating point.
    Raises ArtefactError, and ToolchainError where it cannot be compiled.
    """

    def __init__(self, path: Path, target: str = HOST, *, integer: bool = False) -> None:
        self._source = read_source(path)
        self._path, self._target, self._integer = path, target, integer
        self.metadata = self._source.metadata
        self._program = self._built()

    @property
    def source(self) -> Source:
        """What was compiled."""
        return self._source

    def in_integers(self) -> CompiledModel:
        """Compile the same without floating point."""
        return CompiledModel(self._path, self._target, integer=True)

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K], by rows."""
        return self.answers(pixels)[0]

    def answers(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """uint8 [N, H, W, C] → probabilities, float32 [N, K], and labels, int32 [N]."""
        return self._answers(self._program, pixels)

    def selftest(self) -> int:
        """Run the golden examples: how many differ, and one more for weights that changed."""
        (failed,) = np.frombuffer(execute(self._program, SELFTEST), "<i4")
        return int(failed)

    def of_frames(self, frames: Pixels) -> Iterator[tuple[str, NDArray[np.float32], Pixels]]:
        """Run camera frames in each layout.

        frames: uint8 [N, h, w, 3].
        Yields its name, probabilities [N, K], and the frames as it has them, uint8 [N, h, w, 1 or 3].
        """
        for layout in LAYOUTS:
            rows, seen = _in_layout(frames, layout.name)
            program = self._built(f"KIT_FRAME={layout.number}", f"KIT_FRAME_BYTES={layout.size}")
            yield layout.name, self._answers(program, rows)[0], seen

    def _built(self, *defines: str) -> Program:
        integer = integer_macros(self._source) if self._integer else []
        return build(self._source, self._target, defines=[*integer, *defines])

    def _answers(self, program: Program, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        classes, step = len(self.metadata.labels), len(images)
        if program.target == AVR:
            step = (FLASH_OF_AVR - AVR_ROOM - program.size) // images[0].nbytes
        if step < 1 and len(images):
            raise ToolchainError(
                f"expected an image to fit behind the program for {program.target}, found it too large"
            )
        parts = [images[start : start + step] for start in range(0, len(images), max(1, step))]
        found = b"".join(execute(program, RUN, part.tobytes(), len(part)) for part in parts)
        rows = np.frombuffer(found, "<u4").reshape(-1, classes + 1)
        if len(rows) != len(images):
            raise ToolchainError(f"expected {len(images):,} answers of the program, found {len(rows):,}")
        probabilities = rows[:, :classes].copy()
        labels = rows[:, classes].copy().view("<i4")
        if self._integer:
            return (probabilities / np.float32(UNITS)).astype(np.float32), labels
        return probabilities.view("<f4"), labels


def _in_layout(frames: Pixels, name: str) -> tuple[Pixels, Pixels]:
    """Lay frames out as a camera does; and say what they are as RGB or grey then."""
    if name == "RGB":
        return frames, frames
    if name == "grey":
        return frames[..., :1], frames[..., :1]
    red, green, blue = (frames[..., channel].astype(np.uint16) for channel in range(3))
    words = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
    seen = np.stack([red >> 3 << 3 | red >> 5, green >> 2 << 2 | green >> 6, blue >> 3 << 3 | blue >> 5], axis=-1)
    order = "<u2" if name == "RGB565" else ">u2"
    return words.astype(order)[..., None].view(np.uint8), seen.astype(np.uint8)
