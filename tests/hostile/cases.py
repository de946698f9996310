"""Kinds of hostile cases: each makes, from a good file, a function that runs the case of a number.

It says whether there was an answer, which some must not have; what refuses raises a KitError, and nothing else.
"""

import dataclasses
import json
import os
import shutil
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

import runtime
from runtime.artefact import from_props
from runtime.entries import PREFIX
from runtime.image import ImageContract

from . import command_lines
from .mutations import damaged_checkpoint, damaged_image, edit, mutate, resealed

if TYPE_CHECKING:
    from trainer import Dataset

Case = Callable[[int], bool]

CONTRACTS = ImageContract(height=8, width=8), ImageContract(height=5, width=7, color="RGB", shift=4)
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
PLACES = {  # by environment variable, where the kit and what it builds on keep what is theirs
    "HOME": "home",
    "KIT_CACHE_DIR": "cache",
    "MPLCONFIGDIR": "matplotlib",
    "TMPDIR": "temporary",
    "TORCHINDUCTOR_CACHE_DIR": "torch",
}
LARGEST = 10**6  # pixels of a model that is run


def few_images() -> "Dataset":
    """48 images of 2 × 2 pixels and 3 labels: what unfinished fits are of."""
    from trainer import Dataset, Split

    images = np.random.default_rng(0).integers(0, 256, (48, 2, 2), np.uint8)
    split = Split.of(images, np.arange(48) % 3)
    return Dataset(name="few", labels=("a", "b", "c"), train=split, test=split)


def sealed(source: Path, _folder: Path, backend: str = "onnxruntime") -> Case:
    """Artefacts that are sealed again after the damage, so that the backend comes to see it."""
    original = source.read_bytes()

    def case(number: int) -> bool:
        classifier = runtime.load(resealed(original, number), backend=backend)
        height, width, channels = classifier.metadata.image.shape
        if height * width <= LARGEST:  # a contract may well have more; the answer would take its time
            found = classifier.probabilities(np.zeros((2, height, width, channels), np.uint8))
            assert found.shape == (2, len(classifier.labels))
            assert found.dtype == np.float32
            classifier.selftest()
        return True

    return case


def artefact(source: Path, _folder: Path) -> Case:
    """Artefacts that were damaged on their way: the seal finds it."""
    original = source.read_bytes()

    def case(number: int) -> bool:
        damaged = mutate(original, np.random.default_rng([number, len(original)]))
        runtime.load(damaged)
        assert damaged == original
        return True

    return case


def metadata(source: Path, _folder: Path) -> Case:
    """What goes with the graph: damage to the JSON texts, and other values in sound ones."""
    document = json.dumps(runtime.load(source).metadata.to_json())

    def case(number: int) -> bool:
        rng, changed = np.random.default_rng(number), json.loads(document)
        if number % 2:
            edit(changed, rng)
        texts = {PREFIX + name: json.dumps(value) for name, value in changed.items()}
        if number % 2 == 0:
            name = sorted(texts)[int(rng.integers(len(texts)))]
            texts[name] = mutate(texts[name].encode(), rng).decode(errors="replace")
        from_props(texts)
        return True

    return case


def image(source: Path, _folder: Path) -> Case:
    """Image files of every format and mode, which lie in `source`; each in turn, at each shift of two."""
    originals = [path.read_bytes() for path in sorted(source.iterdir())]

    def case(number: int) -> bool:
        turn, place = divmod(number, len(originals))
        CONTRACTS[turn // 2 % 2].pixels(damaged_image(originals[place], turn))
        return True

    return case


def checkpoint(source: Path, folder: Path) -> Case:
    """Checkpoints, and what the exporter makes of those that can be read."""
    from export import export
    from trainer import load_checkpoint

    original, path = source.read_bytes(), folder / "model.safetensors"

    def case(number: int) -> bool:
        path.write_bytes(damaged_checkpoint(original, number))
        found = load_checkpoint(path)
        if number % 8 == 7 or number % 32 == 6:
            export(dataclasses.replace(found, sample_images=found.sample_images[:20]), "onnx", folder / "model.onnx")
        return True

    return case


def unfinished(source: Path, folder: Path) -> Case:
    """Checkpoints of fits that were interrupted, to go on from."""
    from trainer import FitConfig, fit, load_checkpoint

    original, path, data = source.read_bytes(), folder / "model.safetensors", few_images()
    config = FitConfig(**load_checkpoint(source).provenance["settings"])

    def case(number: int) -> bool:
        path.write_bytes(damaged_checkpoint(original, number))
        fit(data, config, resume=load_checkpoint(path))
        return True

    return case


def idx(source: Path, folder: Path) -> Case:
    """The four files of MNIST, of which one to four are damaged, mostly in front."""
    from trainer import load_data

    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    originals = [(source / name).read_bytes() for name in IDX_FILES]

    def case(number: int) -> bool:
        rng = np.random.default_rng(number)
        hit = set(rng.integers(4, size=int(rng.integers(1, 4))).tolist())
        for position, (name, original) in enumerate(zip(IDX_FILES, originals, strict=True)):
            (raw / name).write_bytes(mutate(original, rng, [0, 4, 8, 12]) if position in hit else original)
        load_data("mnist", data_dir=folder)
        return True

    return case


def commands(source: Path, folder: Path) -> Case:
    """Command lines, each in a fresh folder; neither what is given nor anything else outside of it changes."""
    place, expected = folder / "place", command_lines.snapshot(source)
    names = command_lines.worth_naming(source)
    urllib.request.urlopen = no_network

    def case(number: int) -> bool:
        place.mkdir()
        command_lines.lay_out(place, source)
        line = command_lines.command_line(number, names)
        result = command_lines.run(line, place)
        command_lines.check(line, result)
        assert command_lines.snapshot(source) == expected, line
        assert {path.name for path in folder.iterdir()} == {"place", "number", *PLACES.values()}, line
        assert not list((folder / PLACES["TMPDIR"]).iterdir()), line
        shutil.rmtree(place)
        return result.exit_code == 0

    return case


def no_network(*_: object, **__: object) -> NoReturn:
    """Answer what downloads a data set that is not there."""
    raise OSError("no network here")


def fault(source: Path, _folder: Path) -> Case:
    """What a batch has to notice, by the name of the source, in case 3."""
    faults: dict[str, Callable[[], object]] = {
        "crash": os.abort,
        "trace": lambda: 1 // 0,
        "write": lambda: source.write_text("outside"),
        "connect": lambda: socket.create_connection(("localhost", 1)),
    }

    def case(number: int) -> bool:
        if number == 3:
            faults[source.name]()
        return True

    return case


KINDS: dict[str, Callable[[Path, Path], Case]] = {
    "sealed": sealed,
    "numpy": lambda source, folder: sealed(source, folder, "numpy"),
    "artefact": artefact,
    "metadata": metadata,
    "image": image,
    "checkpoint": checkpoint,
    "unfinished": unfinished,
    "idx": idx,
    "commands": commands,
    "fault": fault,
}
