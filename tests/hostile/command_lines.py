"""Command lines at random: every command, with options and values that are right, wrong, or hardly a value at all."""

import os
import shutil
from pathlib import Path

import click
import numpy as np
from click.testing import CliRunner, Result

import kit

ODD = (
    "", " ", "-", "--", "x", "0", "-1", "nan", "inf", "1e400", "10" * 40, "½", "ｘ", "a b", "%s", "{0}", "$HOME", "*",
    "\x1b[31mred", "\u202eright", "\x9b2J", "line\nline", "\udce9", "x" * 300, ".", "..", "~", "a/../b",
    "/dev/null", "/dev/full", "/proc/self/mem", "given", "given/loop", "given/dangling", "given/pipe", "given/zero",
)  # fmt: skip
NUMBERS = ("1", "2", "3", "8", "0", "-1", "0.5", "0.1", "1e-5", "0.99", "1.15", "1.17.0", "13", "99", "4097")
OUTPUTS = (
    "out",
    "out/deeper",
    "out/model.onnx",
    "link",
    "a file",
    "a file/below",
    "runs/digits",
    "odd \x1b[31m",
    "x" * 300,
)
CHEAP = {"train": ["--data", "given/photos", "--image-size", "4", "--no-report"], "bench": ["--seconds", "0.1"]}
SHARES = {"classify": 6, "inspect": 6, "selftest": 3, "evaluate": 3, "export": 4, "train": 1.5, "bench": 0.1}
ALLOWED = {0, 1, 2, 130}


def command_line(number: int, names: list[str]) -> list[str]:
    """Make the command line of a number. names: what `worth_naming` gave."""
    rng = np.random.default_rng(number)
    shares = np.array(list(SHARES.values()))
    name = list(SHARES)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    command = kit.main.get_command(click.Context(kit.main), name)
    assert command
    line = list(CHEAP.get(name, ()))
    for parameter in command.params:
        if rng.random() < (0.9 if parameter.required or isinstance(parameter, click.Argument) else 0.2):
            value = _value(parameter, names, rng)
            option = [max(parameter.opts, key=len)] if isinstance(parameter, click.Option) else []
            flag = isinstance(parameter, click.Option) and parameter.is_flag
            line += option if flag else [*option, value]
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.2 else 0):
        line.insert(int(rng.integers(len(line) + 1)), ODD[int(rng.integers(len(ODD)))])
    return [name, *line]


def _value(parameter: click.Parameter, names: list[str], rng: np.random.Generator) -> str:
    if parameter.name in ("out", "output"):
        pool: tuple[str, ...] = OUTPUTS
    elif rng.random() < 0.2:
        pool = ODD
    elif isinstance(parameter.type, click.Choice):
        pool = tuple(choice for choice in map(str, parameter.type.choices) if choice != "ray")  # which starts servers
    elif isinstance(parameter.type, (click.types.IntParamType, click.types.FloatParamType)):
        pool = NUMBERS
    else:
        pool = tuple(names)
    return pool[int(rng.integers(len(pool)))]


def worth_naming(source: Path) -> list[str]:
    """Names for paths and data sets, those that are right more than once."""
    right = ["given/model.onnx", "given/photos", "digits", "runs/few"] * 4
    return [*right, "mnist", *(str(path.relative_to(source)) for path in sorted(source.glob("*/*")))]


def lay_out(folder: Path, source: Path) -> None:
    """Fill the folder that a command runs in: what is given, a finished run, and some odd things in the way."""
    (folder / "given").symlink_to(source / "given")
    shutil.copytree(source / "runs", folder / "runs")
    (folder / "a file").write_text("kept")
    (folder / "link").symlink_to(source / "given" / "model.onnx")


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Everything below a folder, with size, kind and time of change."""
    found: dict[str, tuple[int, ...]] = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        found[str(path)] = (about.st_size, about.st_mode, 0 if path.is_dir() else about.st_mtime_ns)
    return found


def run(line: list[str], folder: Path) -> Result:
    """Run a command line in a folder, with an image on standard input."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        picture = (folder / "given" / "photos" / "day" / "0.png").read_bytes()
        return CliRunner().invoke(kit.main, line, input=picture, color=True)
    finally:
        os.chdir(before)


def check(line: list[str], result: Result) -> None:
    """The exit status is one of four; a refusal is one line, and nothing that is printed can steer a terminal."""
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"kit {line}") from result.exception
    assert result.exit_code in ALLOWED, line
    odd = {character for character in result.output if character != "\n" and not character.isprintable()}
    assert not odd, (line, odd, result.output)
    assert "Traceback" not in result.output, line
    complaints = [text for text in result.stderr.splitlines() if text.startswith("kit: ") and "kit: note: " not in text]
    if result.exit_code == 1 and line[0] not in ("classify", "bench"):  # these have a line for each file
        assert len(complaints) == 1, (line, result.stderr)
    summed_up = "--output" in line and result.exit_code == 0  # predictions are written, with the images that are none
    assert summed_up or bool(complaints) == (result.exit_code in (1, 130)), (line, result.stderr)
