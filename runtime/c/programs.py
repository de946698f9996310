"""Compiles a model's C with the harness, and runs the program."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import ToolchainError
from ..text import one_line
from .reading import Source
from .targets import STANDARD, TARGETS, WARNINGS, compiler, emulator, tool

HARNESS = Path(__file__).parent / "harness"
RUN, SELFTEST, COUNT, STACK = range(4)
COMPILE_SECONDS, RUN_SECONDS = 300, 600
FLASH_OF_AVR, NEAR_OF_AVR = 2**18, 2**16  # bytes; the images lie behind the program, which is read by 16 bits
RAM_OF_AVR = 2**13 - 2**9  # bytes, less what is left to the stack
PROGRAM, AVR = "program.exe", "avr"
SHOWN = 300  # characters of what a tool says
ESCAPES, HEXADECIMAL = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"[0-9a-f]+")


class Program(NamedTuple):
    """A compiled program.

    target: a key of TARGETS.
    content: its file.
    size: bytes of flash that it takes.
    """

    target: str
    content: bytes
    size: int


def build(
    source: Source, target: str, *, defines: Sequence[str] = (), optimise: str = "-O2", warnings: bool = True
) -> Program:
    """Compile a model with the harness.

    defines: macros, as in NAME or NAME=value.
    warnings: whether any of the model's source is an error.
    Raises ToolchainError where the tools are missing, or refuse it.
    """
    about = TARGETS[target]
    command = [
        *compiler(target),
        *STANDARD,
        *about.flags,
        optimise,
        *macros(source),
        *(f"-D{macro}" for macro in defines),
    ]
    with tempfile.TemporaryDirectory(prefix="kit-") as place:
        folder = Path(place)
        unpack(source, folder)
        call([*command, *(WARNINGS if warnings else ()), "-c", f"{source.name}.c", "-o", "model.o"], folder)
        harness = [str(HARNESS / file) for file in ("harness.c", *about.board)]
        call([*command, "-I.", f"-I{HARNESS}", *harness, "model.o", *linking(target), "-o", PROGRAM], folder)
        program = folder / PROGRAM
        return Program(target, program.read_bytes(), flash(target, program))


def unpack(source: Source, folder: Path) -> None:
    """Write a model's files to a folder."""
    for file, content in source.files.items():
        (folder / file).write_bytes(content)


def macros(source: Source) -> list[str]:
    """Tell the harness the names of a model."""
    return [f'-DKIT_HEADER="{source.name}.h"', f"-DKIT_NAME={source.name}", f"-DKIT_UPPER={source.name.upper()}"]


def integer_macros(source: Source) -> list[str]:
    """Macros by which a model computes without floating point."""
    return [f"{source.name.upper()}_INTEGER"]


def linking(target: str) -> list[str]:
    """Options that link a program without a C library, where the machine has none."""
    memory = TARGETS[target].memory
    return ["-nostdlib", "-nostartfiles", "-T", str(HARNESS / "bare.ld"), *memory, "-lgcc"] if memory else []


def flash(target: str, program: Path) -> int:
    """Bytes of flash that a program for an emulated machine takes; 0 for this machine's.

    Raises ToolchainError where it does not fit an AVR, whose linker does not look.
    """
    if not TARGETS[target].prefix:
        return 0
    sizes = call([tool(target, "size"), program.name], program.parent).splitlines()[-1].split()
    text, data, bss = map(int, sizes[:3])
    if target == AVR and (text + data > NEAR_OF_AVR or data + bss > RAM_OF_AVR):
        raise ToolchainError(
            f"expected at most {NEAR_OF_AVR:,} bytes of flash and {RAM_OF_AVR:,} of RAM for {target}, found "
            f"{text + data:,} and {data + bss:,}: train on smaller images or fewer classes, or use a larger processor"
        )
    return text + data


def execute(program: Program, mode: int, images: bytes = b"", count: int = 0) -> bytes:
    """Run a program and return its output, without the first word.

    mode: RUN, SELFTEST, COUNT or STACK.
    images: the input. count: how many images it is.
    Raises ToolchainError where the program fails.
    """
    given = struct.pack("<2I", mode, count) + images
    with tempfile.TemporaryDirectory(prefix="kit-") as place:
        folder = Path(place)
        path = folder / PROGRAM
        path.write_bytes(program.content)
        path.chmod(0o700)
        command = emulator(program.target)
        if not command:
            output = call([str(path)], folder, given, RUN_SECONDS)
        elif program.target == AVR:
            output = _on_avr(command, folder, given)
        else:
            (folder / "input").write_bytes(given)
            counting = TARGETS[program.target].counting if mode == COUNT else ()
            call([command[0], *counting, *command[1:], PROGRAM], folder, seconds=RUN_SECONDS)
            output = (folder / "output").read_bytes()
        return output[4:]


def call(
    command: Sequence[str], folder: Path, given: bytes = b"", seconds: float = COMPILE_SECONDS, *, errors: bool = False
) -> bytes:
    """Run a tool in a folder; return what it prints. Raises ToolchainError.

    errors: whether to return what it prints on standard error.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 - SECURITY.md names these processes
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ToolchainError(f"expected to run {name}, found: {error.strerror}: check how it is installed") from None
    with process:
        try:
            output, said = process.communicate(given, seconds)
        except BaseException as error:
            _kill(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ToolchainError(f"expected {name} to end within {seconds:.0f} s, found that it did not") from None
    if process.returncode:
        raise failed(name, process.returncode, said or output)
    return said if errors else output


def failed(name: str, status: int, said: bytes) -> ToolchainError:
    """What to raise for a tool that has failed.

    said: what it printed.
    """
    lines = [line for line in said.decode(errors="replace").splitlines() if not line.startswith("collect2:")]
    first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
    return ToolchainError(f"expected {name} to succeed, found status {status}: {one_line(first)[:SHOWN]}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _on_avr(command: Sequence[str], folder: Path, given: bytes) -> bytes:
    """Run on an ATmega: the input lies in flash behind the program, the output is hexadecimal lines."""
    objcopy = tool(AVR, "objcopy")
    call([objcopy, "-O", "binary", PROGRAM, "flash"], folder)
    flash = folder / "flash"
    flash.write_bytes(flash.read_bytes() + given)
    call([objcopy, "-I", "binary", "-O", "ihex", "flash", "flash.hex"], folder)
    said = call([*command, "flash.hex"], folder, seconds=RUN_SECONDS, errors=True).decode(errors="replace")
    lines = [line.strip(" .") for line in ESCAPES.sub("", said).splitlines()]
    status = next((line for line in lines if line.startswith("=")), "=nothing")
    if status != "=0":
        raise ToolchainError(f"expected the program for {AVR} to end with =0, found {status}")
    return bytes.fromhex("".join(line for line in lines if HEXADECIMAL.fullmatch(line)))
