"""Benchmark of models in C, ours and others' of the same softmax regression: what each takes and answers; Markdown.

python -m venv PEERS; PEERS/bin/pip install m2cgen emlearn micromlgen scikit-learn click
apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm
python -m benchmarks.c --data-dir DIR --peers PEERS/bin/python --write docs/benchmarks.md

Flash and RAM are those of a program that classifies an image, linked with --gc-sections, less those of an empty one:
with the parts of newlib-nano that the code needs, without names of labels and self-test, which the program does not
call. RAM has what the caller keeps: the image as the code takes it, and the answer.
"""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from runtime import load
from runtime.c.programs import call
from runtime.c.reading import read_source
from runtime.c.targets import EMULATED, HOST, TARGETS, compiler
from runtime.errors import ToolchainError
from runtime.image import Pixels
from runtime.session import ONNXRUNTIME

from ..peers.c_code import LABEL, NAME, PEERS, PROBABILITIES, SCORES, Model, written
from ..tools.measure import NONE, Figures, Found, compared, fashion, fashion_dir, table
from ..tools.page import page_option, show
from .c_contenders import COUNTED, Answers, Contender, Cost, measure, on_host
from .c_everywhere import costs, everywhere, patches

ON, LEVELS = ("cortex-m0", "cortex-m3", "cortex-m4f"), ("-Os", "-O2")
IMAGES = 300  # test images that are classified under emulation; on this machine, all
MAX_ERROR, FRAME = 0.1, (320, 240)  # so that our file has a threshold, and takes a camera's frames
CARRIED = {"scales camera frames": r"frame_add_row|resize", "self-test": r"self_?test", "threshold": r"_accepted\b"}
THIS = Path(sys.executable)

Failures = dict[tuple[str, str], list[str]]  # by contender and by what happened: where


class Subject(NamedTuple):
    """A trained model in our C and for peers, and the test images.

    images: those for emulators, uint8 [N, H, W, C]. tests: all.
    expected: the trained model's probabilities of all, [N, K]. in_8_bits: what onnx-int8 answers to them.
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
@click.option(
    "--peers",
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    default=THIS,
    help="The Python that has the peers; this one unless given.",
)
@page_option
def main(data_dir: Path | None, images: int, peers: Path, page: Path | None) -> None:
    """Compile a model of Fashion-MNIST for this machine and Cortex-M, and run it here and on emulated ones."""
    folder = fashion_dir(data_dir)
    try:
        versions = [f"{_version(compiler(ON[0]))}, {_version([TARGETS[ON[0]].emulator[0]])}"]
        with tempfile.TemporaryDirectory(prefix="kit-") as place:
            subject = prepare("fashion-mnist", folder, Path(place), images)
            show("Our C", chain(versions, ours(subject), patches("fashion-mnist", folder, Path(place))))
            peers_too = compare(subject, Path(place), python=peers.absolute())
            show("Models in C", chain(versions, peers_too), page, "c")
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
    expected = reference_probabilities(checkpoint, tests)
    return Subject(place / "ours", model, some, expected, tests, in_8_bits.probabilities(tests))


def ours(subject: Subject) -> Iterator[str]:
    """Yield tables of our own C on every target."""
    yield everywhere(subject.ours, subject.tests, subject.in_8_bits, EMULATED)
    yield costs(subject.ours, subject.images, subject.model.weights.size)


def compare(subject: Subject, place: Path, targets: Sequence[str] = ON, python: Path = THIS) -> Iterator[str]:
    """Yield tables: what each takes on each target, what it answers, and what went wrong.

    place: a folder to work in. targets: emulated ones. python: the Python that has the peers.
    """
    ready, failed = contenders(subject, place, python)
    taken: dict[tuple[str, str], dict[str, Cost]] = {where: {} for where in product(targets, LEVELS)}
    answers: dict[str, list[Answers]] = {}
    for name, contender in ready.items():
        try:
            answers[name] = [on_host(contender, subject.tests)]
        except ToolchainError as error:
            failed[name, str(error)] = [HOST]
            continue
        for (target, level), costs_there in taken.items():
            try:
                costs_there[name], answer = measure(contender, target, level, subject.images)
            except ToolchainError as error:
                failed.setdefault((name, str(error)), []).append(f"{target} {level}")
            else:
                answers[name].append(answer)
    for level in LEVELS if targets else ():
        yield lay_out(level, answers, {target: taken[target, level] for target in targets})
    yield table(
        ("contender", "pixels", "gives", "largest difference in probability", "labels that differ", "names of labels",
         *CARRIED),
        [(name, *described(ready[name], found, subject)) for name, found in answers.items()],
    )  # fmt: skip
    yield table(
        ("does not work", "where", "what happened"),
        [(name, ", ".join(where), cell(error)) for (name, error), where in failed.items()],
    )


def contenders(subject: Subject, place: Path, python: Path) -> tuple[dict[str, Contender], Failures]:
    """Have all write their code; return them, ours first, and what went wrong with others."""
    ours = read_source(subject.ours)
    code = "".join(content.decode() for content in ours.files.values())
    ready = {"ours": Contender(subject.ours, ours.name, (f"{ours.name}.c",), PROBABILITIES, "uint8_t, a row", code)}
    failed: Failures = {}
    subject.model.save(place / "model.json")
    for number, peer in enumerate(PEERS):
        folder = place / f"peer-{number}"
        folder.mkdir()
        title, includes, error = written(number, place / "model.json", folder, python)
        if error:
            failed[title, error] = ["writing C"]
            continue
        pixels = f"{peer.pixel}, all" + ", 0-1" * peer.unit
        source, code = "peer.cpp" if peer.cpp else "peer.c", (folder / "generated.h").read_text(encoding="utf-8")
        ready[title] = Contender(folder, NAME, (source,), peer.gives, pixels, code, includes)
    return ready, failed


def lay_out(level: str, names: Iterable[str], taken: Mapping[str, Mapping[str, Cost]]) -> str:
    """Lay out what contenders take, the first of which is ours: the ratios, and what they come from.

    taken: by target and contender. RAM and stack are those of the last target.
    """
    *_, last = taken
    columns = [*product(["flash"], taken), *product(["ram", "stack"], [last]), *product(["instructions"], taken)]
    found: Found = {
        name: {_head(what, on): getattr(taken[on][name], what) for what, on in columns if name in taken[on]}
        for name in names
    }
    heads = [_head(*column) for column in columns]
    figures = {head: partial(_written, head) for head in heads}
    return f"`{level}`\n\n{compared(found, dict(zip(heads, heads, strict=True)), figures)}"


def _head(what: str, target: str) -> str:
    return f"{'RAM' if what == 'ram' else what}, {target.replace('cortex-m', 'Cortex-M').replace('4f', '4F')}"


def _written(head: str, costs: Figures) -> str:
    return f"{costs[head]:,.0f}" if head in costs else NONE


def described(contender: Contender, found: Sequence[Answers], subject: Subject) -> Iterator[str]:
    """Yield the cells of what a contender answers, at worst of its programs, and of what it carries."""
    yield contender.takes
    yield contender.gives
    expected = [subject.expected[: len(one.labels)] for one in found]
    pairs = list(zip(found, expected, strict=True))
    differences = [np.abs(probabilities(contender, one) - right).max() for one, right in pairs]
    yield "none given" if contender.gives == LABEL else f"{max(differences):.1e}"
    differ = max(int((one.labels != right.argmax(axis=1)).sum()) for one, right in pairs)
    yield f"{differ} of {len(subject.tests):,}"
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
