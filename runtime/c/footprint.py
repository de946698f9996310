"""What a model in C takes on a target: flash, RAM, stack, and instructions an image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ToolchainError
from ..image import Pixels
from .programs import COUNT, HARNESS, STACK, Program, build, call, execute, integer_macros, linking, macros, unpack
from .reading import Source
from .targets import EMULATED, STANDARD, TARGETS, compiler, is_installed, tool

MOST_IMAGES = 4


class Footprint(NamedTuple):
    """What a model takes.

    flash: bytes of code and constants, without the self-test and the labels.
    ram: bytes of variables, the model's and those that its caller keeps: state, probabilities, and one row.
    stack: bytes, at the deepest.
    instructions: mean number an image; on AVR cycles.
    """

    flash: int
    ram: int
    stack: int
    instructions: float


def footprint(
    source: Source, target: str, images: Pixels, *, optimise: str = "-Os", integer: bool = False
) -> Footprint:
    """Measure a model on an emulated target.

    images: uint8 [N, H, W, C], the first few of which are run.
    optimise: the compiler's option.
    integer: whether without floating point.
    Raises ToolchainError.
    """
    some, defines = images[:MOST_IMAGES], integer_macros(source) if integer else []
    flash, ram = _sizes(source, target, [optimise, *(f"-D{macro}" for macro in defines)])
    program = build(source, target, optimise=optimise, defines=defines)
    stack = np.frombuffer(execute(program, STACK, some.tobytes(), len(some)), "<u4").max()
    return Footprint(flash, ram, int(stack), _counted(program, some))


def footprints(source: Source, images: Pixels, targets: Sequence[str] | None = None) -> dict[str, Footprint]:
    """Measure a model on targets; None for all whose tools are installed and that it fits, at least one.

    Raises ToolchainError.
    """
    if targets is not None:
        return {target: footprint(source, target, images) for target in targets}
    found = {}
    for target in filter(is_installed, EMULATED):
        with suppress(ToolchainError):  # it is larger than the target
            found[target] = footprint(source, target, images)
    return found


def beyond(budget: Mapping[str, float], found: Mapping[str, Footprint]) -> Iterator[str]:
    """Say which figures are above their budget."""
    for target, taken in found.items():
        for name, limit in budget.items():
            if getattr(taken, name) > limit:
                yield f"expected {name} of at most {limit:,.0f} on {target}, found {getattr(taken, name):,.0f}"


def _sizes(source: Source, target: str, options: Sequence[str]) -> tuple[int, int]:
    """Bytes of flash and of RAM by which a program with the model is larger than one without."""
    (flash, ram), (flash_without, ram_without) = (
        _linked(source, target, [*options, *more]) for more in (("-DKIT_MODEL",), ())
    )
    return flash - flash_without, ram - ram_without


def _linked(source: Source, target: str, options: Sequence[str]) -> tuple[int, int]:
    """Bytes of flash and of RAM of the smallest program, without its own function."""
    about = TARGETS[target]
    command = [*compiler(target), *STANDARD, *about.flags, *macros(source), *options, "-Wl,--gc-sections"]
    with tempfile.TemporaryDirectory(prefix="kit-") as place:
        folder = Path(place)
        unpack(source, folder)
        bare = [*linking(target), "-Wl,--entry=main"] if about.memory else []
        files = [str(HARNESS / "minimal.c"), f"{source.name}.c"]
        call([*command, "-I.", *files, *bare, "-o", "program"], folder)
        symbols = call([tool(target, "nm"), "-S", "program"], folder).decode().splitlines()
        (own,) = (int(line.split()[1], 16) for line in symbols if line.endswith(" main"))
        text, data, bss = map(int, call([tool(target, "size"), "program"], folder).splitlines()[-1].split()[:3])
    return text + data - own, data + bss


def _counted(program: Program, images: Pixels) -> float:
    """Mean number of instructions, or of cycles, inside the model's functions, as the machine's own counter has it."""
    found = execute(program, COUNT, images.tobytes(), len(images))
    return float(np.frombuffer(found, "<u8").mean()) / TARGETS[program.target].ticks
