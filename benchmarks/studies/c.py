"""Benchmark of models in C, ours and others' of the same softmax regression: what each takes and answers; Markdown.

pip install m2cgen emlearn micromlgen
apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm
python -m benchmarks.c --data-dir DIR

Flash and RAM are those of a program that classifies an image, linked with --gc-sections, less those of an empty one:
with the parts of newlib-nano that the code needs, without names of labels and self-test, which the program does not
call. RAM has what the caller keeps: the image as the code takes it, and the answer.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from runtime import load
from runtime.c.programs import COUNT, HARNESS, RUN, STACK, Program, call, execute, flash, linking
from runtime.c.reading import read_source
from runtime.c.targets import EMULATED, STANDARD, TARGETS, compiler, tool
from runtime.errors import ToolchainError
from runtime.image import Pixels
from runtime.session import ONNXRUNTIME

from ..peers.c_code import LABEL, NAME, PEERS, PROBABILITIES, SCORES, Model, headers, title, written
from ..tools.measure import fashion, fashion_dir, multiple, show, table
from .c_everywhere import costs, everywhere, of_patches

ON, LEVELS = ("cortex-m3", "cortex-m4f"), ("-Os", "-O2")
IMAGES, COUNTED = 300, 4  # test images that are classified; those whose instructions are counted
MAX_ERROR, FRAME = 0.1, (320, 240)  # so that our file has a threshold, and takes a camera's frames
CPP = ("-std=c++11", "-fno-exceptions", "-fno-rtti", *STANDARD[1:])
LIBRARIES = ("-Wl,--start-group", "-lm", "-lc_nano", "-lgcc", "-Wl,--end-group")
CARRIED = {"scales camera frames": r"frame_add_row|resize", "self-test": r"self_?test", "threshold": r"_accepted\b"}


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


class Subject(NamedTuple):
    """A trained model in our C and for peers, some test images [N, H, W, C], and its probabilities [N, K] of them.

    tests: all test images. in_8_bits: what onnx-int8 answers to them.
    """

    ours: Path
    model: Model
    images: Pixels
    expected: NDArray[np.floating]
    tests: Pixels
    in_8_bits: NDArray[np.float32]


@click.command()
@fashion
@click.option("--images", type=click.IntRange(COUNTED), default=IMAGES, show_default=True)
def main(data_dir: Path | None, images: int) -> None:
    """Compile a model of Fashion-MNIST for two Cortex-M, and run it on emulated ones."""
    folder = fashion_dir(data_dir)
    try:
        versions = [_version(compiler(ON[0])), _version([TARGETS[ON[0]].emulator[0]])]
        with tempfile.TemporaryDirectory(prefix="kit-") as place:
            subject = prepare("fashion-mnist", folder, Path(place), images)
            tables = chain([", ".join(versions)], ours(subject), compare(subject, Path(place)))
            show("Models in C", chain(tables, [of_patches("fashion-mnist", folder, Path(place))]))
    except ToolchainError as error:
        raise click.ClickException(str(error)) from None


def _version(command: Sequence[str]) -> str:
    return call([*command, "--version"], Path()).decode().splitlines()[0]


def prepare(data: str, data_dir: Path | None, place: Path, images: int) -> Subject:
    """Train a model, and write it to place/ours."""
    from export import export
    from export.arithmetic.fold import fold
    from export.gate.parity import reference_probabilities
    from trainer import FitConfig, fit, load_data

    loaded = load_data(data, data_dir=data_dir)
    checkpoint = fit(loaded, FitConfig(max_error=MAX_ERROR, device="cpu")).checkpoint
    export(checkpoint, "c", place / "ours", frame=FRAME)
    in_8_bits = load(export(checkpoint, "onnx-int8", place / "ours.int8.onnx").path, backend=ONNXRUNTIME)
    tests = loaded.test.images.numpy()
    some = tests[:images]
    model = Model(*fold(checkpoint), loaded.labels, some.shape[1:])
    expected = reference_probabilities(checkpoint, some)
    return Subject(place / "ours", model, some, expected, tests, in_8_bits.probabilities(tests))


def ours(subject: Subject) -> Iterator[str]:
    """Yield tables of our own C on every target."""
    yield everywhere(subject.ours, subject.tests, subject.in_8_bits, EMULATED)
    yield costs(subject.ours, subject.images, subject.model.weights.size)


def compare(subject: Subject, place: Path, targets: Sequence[str] = ON) -> Iterator[str]:
    """Yield tables: what went wrong, what each takes on each target, and what it answers.

    place: a folder to work in.
    """
    ready, failed = contenders(subject, place)
    taken_on: dict[str, dict[str, Cost]] = {f"{target}, {level}": {} for target, level in product(targets, LEVELS)}
    answers: dict[str, list[Answers]] = {}
    for name, contender in ready.items():
        try:
            found = [measure(contender, target, level, subject.images) for target, level in product(targets, LEVELS)]
        except ToolchainError as error:
            failed[name] = str(error)
            continue
        answers[name] = [answer for _, answer in found]
        for taken, (cost, _) in zip(taken_on.values(), found, strict=True):
            taken[name] = cost
    yield table(("does not work", "what happened"), [(name, cell(error)) for name, error in failed.items()])
    for where, taken in taken_on.items():
        yield lay_out(where, taken)
    yield table(
        ("contender", "pixels", "gives", "largest difference in probability", "labels that differ", "names of labels",
         *CARRIED),
        [(name, *described(ready[name], found, subject)) for name, found in answers.items()],
    )  # fmt: skip


def contenders(subject: Subject, place: Path) -> tuple[dict[str, Contender], dict[str, str]]:
    """Have all write their code; return them, ours first, and what went wrong with others."""
    ours = read_source(subject.ours)
    code = "".join(content.decode() for content in ours.files.values())
    ready = {"ours": Contender(subject.ours, ours.name, (f"{ours.name}.c",), PROBABILITIES, "uint8_t, a row", code)}
    failed: dict[str, str] = {}
    subject.model.save(place / "model.json")
    for number, peer in enumerate(PEERS):
        folder = place / f"peer-{number}"
        folder.mkdir()
        if error := written(number, place / "model.json", folder):
            failed[title(peer)] = error
            continue
        pixels = f"{peer.pixel}, all" + ", 0-1" * peer.unit
        source, code = "peer.cpp" if peer.cpp else "peer.c", (folder / "generated.h").read_text(encoding="utf-8")
        ready[title(peer)] = Contender(folder, NAME, (source,), peer.gives, pixels, code, headers(peer))
    return ready, failed


def measure(contender: Contender, target: str, level: str, images: Pixels) -> tuple[Cost, Answers]:
    """Compile and run a contender. level: the compiler's -Os or -O2. Raises ToolchainError."""
    objects = [_compiled(contender, source, target, level) for source in contender.sources]
    program = _whole(contender, objects, target, level)
    whole, bare = (_smallest(contender, objects, target, level, more) for more in (("-DKIT_MODEL",), ()))
    some = images[:COUNTED]
    ticks = np.frombuffer(execute(program, COUNT, some.tobytes(), len(some)), "<u8")
    stack = np.frombuffer(execute(program, STACK, some.tobytes(), len(some)), "<u4")
    rows = np.frombuffer(execute(program, RUN, images.tobytes(), len(images)), "<u4").reshape(len(images), -1)
    instructions = float(ticks.mean()) / TARGETS[target].ticks
    refused = rows[:, -1].view("<i4").min()
    if refused < 0:
        raise ToolchainError(f"expected a label as the program's answer, found the error {refused}")
    answers = Answers(rows[:, :-1].copy().view("<f4").astype(np.float64), rows[:, -1].view("<i4").astype(np.int64))
    return Cost(whole[0] - bare[0], whole[1] - bare[1], int(stack.max()), instructions), answers


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


def lay_out(where: str, costs: Mapping[str, Cost]) -> str:
    """Lay out what contenders take, the first of which is ours."""
    ours = next(iter(costs.values()))
    rows = []
    for name, cost in costs.items():
        shares = [multiple(cost.flash / ours.flash), multiple(cost.instructions / ours.instructions)]
        sizes = [f"{size:,}" for size in cost[:3]]
        rows.append((name, sizes[0], shares[0], *sizes[1:], f"{cost.instructions:,.0f}", shares[1]))
    head = (where, "flash, bytes", "÷ ours", "RAM, bytes", "stack, bytes", "instructions an image", "÷ ours")
    return table(head, rows)


def described(contender: Contender, found: Sequence[Answers], subject: Subject) -> Iterator[str]:
    """Yield the cells of what a contender answers, at worst of its programs, and of what it carries."""
    yield contender.takes
    yield contender.gives
    differences = [np.abs(probabilities(contender, one) - subject.expected).max() for one in found]
    yield "none given" if contender.gives == LABEL else f"{max(differences):.1e}"
    differ = max(int((one.labels != subject.expected.argmax(axis=1)).sum()) for one in found)
    yield f"{differ} of {len(subject.images)}"
    yield _yes(all(_named(label, contender.carries) for label in subject.model.labels))
    for pattern in CARRIED.values():
        yield _yes(re.search(pattern, contender.carries, re.IGNORECASE) is not None)


def probabilities(contender: Contender, found: Answers) -> NDArray[np.float64]:
    """What a contender gives; softmax of it where that is left to the caller."""
    if contender.gives != SCORES:
        return found.outputs
    powers = np.exp(found.outputs - found.outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _named(label: str, code: str) -> bool:
    """Whether a label is in the code, as text or as bytes."""
    return f'"{label}"' in code or ", ".join(map(str, label.encode())) in code


def _yes(found: bool) -> str:
    return "yes" if found else "no"


def cell(text: str) -> str:
    """Write what a tool said in a cell of a table."""
    return f"`{' '.join(text.split()).replace('|', '/').replace('`', chr(39))}`"
