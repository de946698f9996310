"""Compiles and runs a contender of `benchmarks.c`, whoever wrote its C."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.c.programs import COUNT, HARNESS, RUN, STACK, Program, call, execute, flash, linking
from runtime.c.targets import HOST, STANDARD, TARGETS, compiler, tool
from runtime.errors import ToolchainError
from runtime.image import Pixels

COUNTED = 4  # images whose instructions are counted
CPP = ("-std=c++11", "-fno-exceptions", "-fno-rtti", *STANDARD[1:])
LIBRARIES = ("-Wl,--start-group", "-lm", "-lc_nano", "-lgcc", "-Wl,--end-group")


class Contender(NamedTuple):
    """C code to measure.

    prefix: of its functions and of its header. sources: of the files to compile.
    gives: PROBABILITIES, SCORES or LABEL. takes: what type of pixels its own code takes.
    includes: folders of headers. carries: all its code, in which to look for what it carries.
    """

    folder: Path
    prefix: str
    sources: Sequence[str]
    gives: str
    takes: str
    carries: str
    includes: Sequence[str] = ()


class Cost(NamedTuple):
    """Bytes, linked with --gc-sections, more than an empty program; and a mean number an image."""

    flash: int
    ram: int
    stack: int
    instructions: float


class Answers(NamedTuple):
    """What a program answers: float64 [N, K], and labels, int [N]."""

    outputs: NDArray[np.float64]
    labels: NDArray[np.int64]


def measure(contender: Contender, target: str, level: str, images: Pixels) -> tuple[Cost, Answers]:
    """Compile and run a contender on an emulated machine. level: the compiler's -Os or -O2. Raises ToolchainError."""
    objects = [_compiled(contender, source, target, level) for source in contender.sources]
    program = _whole(contender, objects, target, level)
    whole, bare = (_smallest(contender, objects, target, level, more) for more in (("-DKIT_MODEL",), ()))
    some = images[:COUNTED]
    ticks = np.frombuffer(execute(program, COUNT, some.tobytes(), len(some)), "<u8")
    stack = np.frombuffer(execute(program, STACK, some.tobytes(), len(some)), "<u4")
    instructions = float(ticks.mean()) / TARGETS[target].ticks
    return Cost(whole[0] - bare[0], whole[1] - bare[1], int(stack.max()), instructions), _answers(program, images)


def on_host(contender: Contender, images: Pixels) -> Answers:
    """Compile and run a contender on this machine. Raises ToolchainError."""
    objects = [_compiled(contender, source, HOST, "-O2") for source in contender.sources]
    return _answers(_whole(contender, objects, HOST, "-O2"), images)


def _answers(program: Program, images: Pixels) -> Answers:
    rows = np.frombuffer(execute(program, RUN, images.tobytes(), len(images)), "<u4").reshape(len(images), -1)
    labels = rows[:, -1].view("<i4")
    if labels.min() < 0:
        raise ToolchainError(f"expected a label as the program's answer, found the error {labels.min()}")
    return Answers(rows[:, :-1].copy().view("<f4").astype(np.float64), labels.astype(np.int64))


def _compiled(contender: Contender, source: str, target: str, level: str) -> str:
    """Compile one of its files, whatever the compiler warns of; return the object's name."""
    command = [tool(target, "g++"), *CPP] if source.endswith(".cpp") else [*compiler(target), *STANDARD]
    includes = [f"-I{folder}" for folder in contender.includes]
    name = f"{source}-{target}{level}.o"
    call([*command, *TARGETS[target].flags, level, "-w", *includes, "-c", source, "-o", name], contender.folder)
    return name


def _linked(contender: Contender, files: Sequence[str], target: str, level: str, options: Sequence[str]) -> Path:
    """Link a program of the harness with a contender's objects."""
    prefix = contender.prefix
    macros = [f'-DKIT_HEADER="{prefix}.h"', f"-DKIT_NAME={prefix}", f"-DKIT_UPPER={prefix.upper()}"]
    command = [*compiler(target), *STANDARD, *TARGETS[target].flags, level, *macros, "-I.", f"-I{HARNESS}"]
    libraries = LIBRARIES if TARGETS[target].prefix else ("-lm",)
    call([*command, *files, *options, *linking(target), *libraries, "-o", "program.exe"], contender.folder)
    return contender.folder / "program.exe"


def _whole(contender: Contender, objects: Sequence[str], target: str, level: str) -> Program:
    harness = [str(HARNESS / file) for file in ("harness.c", *TARGETS[target].board)]
    path = _linked(contender, [*harness, *objects], target, level, ())
    return Program(target, path.read_bytes(), flash(target, path))


def _smallest(
    contender: Contender, objects: Sequence[str], target: str, level: str, more: Sequence[str]
) -> tuple[int, int]:
    """Bytes of flash and of RAM of the smallest program, without its own function, as `kit export` measures them."""
    options = ["-Wl,--gc-sections", "-Wl,--entry=main", *more]
    path = _linked(contender, [str(HARNESS / "minimal.c"), *objects], target, level, options)
    symbols = call([tool(target, "nm"), "-S", path.name], path.parent).decode().splitlines()
    (own,) = (int(line.split()[1], 16) for line in symbols if line.endswith(" main"))
    sizes = call([tool(target, "size"), path.name], path.parent).decode().splitlines()[-1].split()
    text, data, bss = map(int, sizes[:3])
    return text + data - own, data + bss
