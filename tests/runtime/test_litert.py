"""The backend of .tflite files: what it refuses, that it is quiet, and that threads and forks may share it."""

import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from runtime import ArtefactError
from runtime.image import Pixels
from runtime.seal import EMPTY_SEAL, SEAL_START, seal
from tests.interpreter import run_python
from trainer import Dataset

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")
NAMES = ("litert", "litert-int8")


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, exported: dict[str, Path]) -> Path:
    return exported[request.param]


@pytest.fixture
def images(digits: Dataset) -> Pixels:
    return digits.test.images.numpy()


def sealed(data: bytes) -> bytes:
    """Seal a file that was changed, as whoever means harm does."""
    return seal(re.sub(SEAL_START + rb"[0-9a-f]{64}", EMPTY_SEAL, data))


def edited(path: Path, **changes: Any) -> bytes:
    """Change the model at the root of the flatbuffer."""
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    for name, change in changes.items():
        change(getattr(model, name))
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return sealed(bytes(builder.Output()))


def test_it_says_what_runs(path: Path) -> None:
    with runtime.load(path) as classifier:
        info = classifier.info()
        assert (info["backend"], info["format"] in NAMES, info["providers"]) == ("litert", True, [])
        assert classifier.selftest() <= classifier.metadata.golden.tolerance


def test_batches(path: Path, images: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of none, one and many, in parts too, in any order; and the same one by one."""
    classifier = runtime.load(path)
    whole = classifier.probabilities(images)
    assert whole.shape == (360, 10)
    assert classifier.probabilities(images[:0]).shape == (0, 10)
    monkeypatch.setattr(runtime.litert, "NUMBERS_AT_ONCE", 64 * 7)
    for count in (1, 7, 1, 100):
        np.testing.assert_allclose(classifier.probabilities(images[:count]), whole[:count], rtol=0, atol=1e-6)
    assert [classifier.classify(image).index for image in images] == whole.argmax(axis=1).tolist()
    assert classifier.classify(images[0], top_k=3) == classifier.classify_batch(images[:1], top_k=3)[0]


def test_threads_share_a_classifier(path: Path, images: Pixels) -> None:
    classifier, wrong = runtime.load(path, threads=2), []
    expected = classifier.probabilities(images)

    def work(start: int) -> None:
        for at in range(start, 360, 8):
            some = images[at : at + 5]
            off = np.abs(classifier.probabilities(some) - expected[at : at + 5]).max()
            if off > 1e-6 or classifier.classify(images[at]).index != expected[at].argmax():
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.spawns
def test_forks_share_a_classifier(path: Path) -> None:
    code = """
import os
import runtime
classifier = runtime.load(sys.argv[1], threads=2)
images = classifier.metadata.golden.images.repeat(300, axis=0)
def answer():
    return classifier.probabilities(images).tobytes(), classifier.classify(images[0])
before = [answer() for _ in range(60)][-1]
for _ in range(3):
    child = os.fork()
    if not child:
        os._exit(answer() != before)
    assert os.waitpid(child, 0)[1] == 0
assert answer() == before
"""
    result = run_python(code, path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.spawns
def test_it_is_quiet_and_says_what_is_missing(path: Path) -> None:
    code = """
import os
import runtime
try:
    classifier = runtime.load(sys.argv[1], selftest=True)
    classifier.classify_batch(classifier.metadata.golden.images)
    print(len(os.listdir("/proc/self/task")))
except runtime.KitError as error:
    print(type(error).__name__, error)
"""
    result = run_python(code, path, environment={"OPENBLAS_NUM_THREADS": "1"})
    assert (result.stdout, result.stderr) == ("1\n", "")
    result = run_python(code, path, without=["ai_edge_litert"])
    expected = "running a .tflite file needs ai_edge_litert, which is not installed: pip install 'softmax-kit[litert]'"
    assert (result.stdout, result.stderr) == (f"MissingExtraError {expected}\n", "")


@pytest.mark.parametrize("settings", [{"spinning": True}, {"providers": ["NoSuch"]}, {"backend": "numpy"}], ids=str)
def test_settings_of_other_backends(path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ArtefactError, match=r"expected no backend, providers or spinning for a \.tflite file"):
        runtime.load(path, **settings)


def test_a_part_of_a_file(path: Path) -> None:
    data = path.read_bytes()
    for count in (8, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(ArtefactError, match=r"expected (the content|an artefact)"):
            runtime.load(data[:count].ljust(4097, b"\0") if count < 4097 else data[:count])


def rename(entries: list[Any]) -> None:
    for entry in entries:
        entry.name = entry.name.replace(b"kit.json", b"other")


def no_json(buffers: list[Any]) -> None:
    for buffer in buffers:
        if buffer.data is not None and bytes(buffer.data).startswith(b'{"golden'):
            buffer.data = list(b"[1, 2")


def foreign(codes: list[Any]) -> None:
    codes[0].builtinCode = codes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM


def miswired(graphs: list[Any]) -> None:
    graphs[0].operators[-1].inputs = [99]


def other_labels(buffers: list[Any]) -> None:
    for buffer in buffers:
        if buffer.data is not None and bytes(buffer.data).startswith(b'{"golden'):
            document = json.loads(bytes(buffer.data))
            document["labels"].append("more")
            for row in document["golden"]["probabilities"]:
                row.append(0)
            buffer.data = list(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": rename}, r"with one kit\.json, found 0: export it again"),
        ({"buffers": no_json}, r"kit\.json: expected a JSON object, found b'\[1, 2': export it again"),
        ({"operatorCodes": foreign}, r"expected operators out of ADD, .*, found LiteRT's number 32: export"),
        ({"subgraphs": lambda graphs: graphs.append(graphs[0])}, "expected one graph, found 2"),
        (
            {"subgraphs": lambda graphs: graphs[0].operators.clear()},
            r"expected a graph that gives \[N, K\] probabilities",
        ),
        ({"subgraphs": miswired}, r"expected a \.tflite file that LiteRT .* loads, found one that it refuses \(.+\)"),
        ({"buffers": other_labels}, r"expected images: uint8 \[N, 8, 8, 1\] → probabilities: float32 \[N, 11\], found"),
    ],
    ids=["no-kit-json", "no-json", "operator", "graphs", "no-operators", "wiring", "labels"],
)
def test_a_sealed_file_that_is_none_of_ours(path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        runtime.load(edited(path, **changes), selftest=True)


@pytest.mark.spawns
def test_hostile_files_that_are_sealed_end_no_process(path: Path, tmp_path: Path) -> None:
    """Bytes of the graph that are wrong, with a seal that is right: an answer or one clear error, and no line."""
    generator, data = np.random.default_rng(0), path.read_bytes()
    start = data.index(b'{"golden')
    places = [place for place in range(len(data)) if not start <= place < start + 3000]
    for number in range(400):
        changed = bytearray(data)
        for place in generator.choice(places, generator.integers(1, 5)):
            changed[place] = generator.choice([0, 127, 255, changed[place] ^ 1 << generator.integers(8)])
        if changed.count(SEAL_START) == 1:
            (tmp_path / str(number)).write_bytes(sealed(bytes(changed)))
    code = """
import pathlib
import runtime
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        classifier = runtime.load(path)
        images = classifier.metadata.golden.images
        classifier.probabilities(images), classifier.classify(images[0]), classifier.info()
    except (runtime.ArtefactError, runtime.InputError):
        pass
"""
    started = time.monotonic()
    result = run_python(code, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - started < 60
