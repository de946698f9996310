"""The machines that a model in C is compiled for: this one, and emulated ones."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from dataclasses import dataclass

from ..errors import ToolchainError

HOST = "host"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
STANDARD = ("-std=c99", "-ffunction-sections", "-fdata-sections")
ARM = "arm-none-eabi"
SILENT = ("-display", "none", "-monitor", "none", "-serial", "none")
SEMIHOSTING = ("-semihosting-config", "enable=on,target=native", *SILENT)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine.

    prefix: of the names of its compiler's tools; empty for this machine's own.
    flags: of its compiler.
    memory: addresses and lengths of flash and RAM, for `bare.ld`; empty where the tools know them.
    board: files of the harness that are its own.
    emulator: command that runs a program, whose name follows; empty for this machine.
    counting: options of it while instructions are counted. ticks: of the harness's counter, in one of them.
    packages: Debian's, which have all of it.
    """

    prefix: str
    flags: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    board: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    counting: tuple[str, ...] = ()
    ticks: float = 1.0
    packages: tuple[str, ...] = ()


def _bare(flash: str, flash_length: str, ram: str, ram_length: str, stack: str) -> tuple[str, ...]:
    names = ("FLASH_ORIGIN", "FLASH_LENGTH", "RAM_ORIGIN", "RAM_LENGTH", "STACK_LENGTH")
    values = (flash, flash_length, ram, ram_length, stack)
    return tuple(f"-Wl,--defsym={name}={value}" for name, value in zip(names, values, strict=True))


def _cortex(machine: str, megahertz: int, flags: tuple[str, ...], memory: tuple[str, ...]) -> Target:
    """A board of qemu. With -icount shift=10 an instruction takes 1.024 µs of its clock, which the harness reads."""
    return Target(
        prefix=f"{ARM}-",
        flags=("-mthumb", *flags, "-ffreestanding"),
        memory=memory,
        board=("cortex_m.c", "semihosting.c", "memory.c"),
        emulator=("qemu-system-arm", *SEMIHOSTING, "-M", machine, "-kernel"),
        counting=("-icount", "shift=10"),
        ticks=1.024 * megahertz,
        packages=(f"gcc-{ARM}", "qemu-system-arm"),
    )


MPS2 = _bare("0x0", "0x400000", "0x20000000", "0x400000", "0x10000")
TARGETS = {
    HOST: Target(prefix="", board=("host.c",)),
    "cortex-m0": _cortex(
        "microbit", 16, ("-mcpu=cortex-m0",), _bare("0x0", "0x40000", "0x20000000", "0x4000", "0x800")
    ),
    "cortex-m3": _cortex("mps2-an385", 25, ("-mcpu=cortex-m3",), MPS2),
    "cortex-m4f": _cortex("mps2-an386", 25, ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), MPS2),
    "riscv32": Target(
        prefix="riscv64-unknown-elf-",
        flags=("-march=rv32imac", "-mabi=ilp32", "-ffreestanding"),
        memory=_bare("0x80000000", "0x400000", "0x80400000", "0x400000", "0x10000"),
        board=("riscv.S", "semihosting.c", "memory.c"),
        emulator=("qemu-system-riscv32", *SEMIHOSTING, "-M", "virt", "-bios", "none", "-kernel"),
        counting=("-icount", "shift=0"),
        packages=("gcc-riscv64-unknown-elf", "qemu-system-misc"),
    ),
    "avr": Target(
        prefix="avr-",
        flags=("-mmcu=atmega2560",),
        board=("avr.c",),
        emulator=("simavr", "-m", "atmega2560", "-f", "16000000"),
        packages=("gcc-avr", "avr-libc", "simavr"),
    ),
}
EMULATED = [name for name in TARGETS if name != HOST]


def compiler(target: str) -> list[str]:
    """Return the command of a target's compiler. Raises ToolchainError where it is not installed."""
    prefix = TARGETS[target].prefix
    if prefix:
        return [_found(f"{prefix}gcc", target)]
    given = shlex.split(os.environ.get("CC", ""))
    for name, *options in [given] if given else [["cc"], ["gcc"], ["clang"]]:
        if path := shutil.which(name):
            return [path, *options]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise ToolchainError(
        "expected a C compiler, which checks the exported C, found none: install one, such as the package gcc of your "
        "system, or pip install 'softmax-kit[c]'"
    )


def tool(target: str, name: str) -> str:
    """Return the path of one of a target's tools beside its compiler. Raises ToolchainError."""
    return _found(f"{TARGETS[target].prefix}{name}", target)


def emulator(target: str) -> list[str]:
    """Return the command that runs a target's program; empty for this machine. Raises ToolchainError."""
    name, *options = TARGETS[target].emulator or ("",)
    return [_found(name, target), *options] if name else []


def is_installed(target: str) -> bool:
    """Whether a target's compiler and emulator are there."""
    try:
        compiler(target)
        emulator(target)
    except ToolchainError:
        return False
    return True


def _found(name: str, target: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolchainError(
            f"expected {name} for {target}, found none: install it, on Debian and Ubuntu by apt-get install "
            f"{' '.join(TARGETS[target].packages) or 'gcc binutils'}"
        )
    return path
