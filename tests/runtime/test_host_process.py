"""The runtime in a process of somebody else: threads, forks, pickles, memory, idleness, signals."""

import gc
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import runtime
from runtime import Classifier
from runtime.image import Pixels
from tests.backends import of_onnxruntime
from tests.formats import OPENED
from tests.interpreter import run_python

LINUX = sys.platform == "linux"


def assert_right(classifier: Classifier, images: Pixels, expected: NDArray[np.float32]) -> None:
    for image, row in zip(images, expected, strict=True):
        prediction = classifier.classify(image)
        assert prediction.index == row.argmax()
        assert abs(prediction.probability - row.max()) < 1e-6


def test_many_threads_at_once(classifier: Classifier, images: Pixels) -> None:
    expected = classifier.probabilities(images)
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(assert_right, classifier, images, expected) for _ in range(16)]:
            future.result()


@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_fork_the_child_opens_its_own_session(
    classifier: Classifier, images: Pixels, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [classifier.classify(image) for image in images[:20]]
    assert runtime.classify(images[0], model=model) == expected[0]
    opened: list[int] = []

    def open_backend(*arguments: Any) -> Any:
        opened.append(os.getpid())
        return runtime.backend.open_backend(*arguments)

    monkeypatch.setattr("runtime.classifier.open_backend", open_backend)

    def child(results: Any) -> None:
        answers = [classifier.classify(image) for image in images[:20]]
        own = opened == [os.getpid()]
        results.put((own, answers == expected, runtime.classify(images[0], model=model) == expected[0]))

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [classifier.classify(images[0]) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        for _ in range(5):
            process = context.Process(target=child, args=(results,))
            process.start()
            assert results.get() == (True, True, True)
            process.join(30)
            assert process.exitcode == 0
    finally:
        stop.set()
        busy.join()
    assert [classifier.classify(image) for image in images[:20]] == expected
    assert opened == []


@of_onnxruntime
@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_with_threads_in_the_session(model: Path, images: Pixels) -> None:
    """Closing the parent's session in the child would wait for threads that are not there."""
    classifier = runtime.load(model, threads=2)
    expected = classifier.probabilities(images).sum()
    child = os.fork()
    if child == 0:
        right = np.isclose(classifier.probabilities(images).sum(), expected)
        gc.collect()
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0


FORKS = """
import gc, os, signal, threading, time
import runtime

def status(child):
    for _ in range(3000):
        ended, found = os.waitpid(child, os.WNOHANG)
        if ended:
            return found
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "waits for ever"

path = sys.argv[1]
given = [runtime.load(path, threads=2, spinning=spinning) for spinning in (False, True)]
images = given[0].metadata.golden.images
for classifier in given:
    for _ in range(3):
        classifier.classify_batch(list(images) * 30)
        classifier.classify(images[0])
        classifier.probabilities(images)
"""


@of_onnxruntime
@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "child",
    {
        "does nothing": "",
        "classifies": "[classifier.classify(images[0]) for classifier in given]",
        "drops the classifiers": "del classifier, given; gc.collect()",
        "closes the classifiers": "[classifier.close() for classifier in given]; gc.collect()",
        "classifies and drops": "[classifier.classify(images[0]) for classifier in given]; given.clear(); gc.collect()",
        "has a child": "grandchild = os.fork(); sys.exit(grandchild and status(grandchild))",
        "has a child after classifying": "[classifier.probabilities(images) for classifier in given]; "
        "grandchild = os.fork(); sys.exit(grandchild and status(grandchild))",
        "is told to end": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), signal.SIGTERM)",
    }.items(),
    ids=lambda case: case[0],
)
def test_a_forked_child_exits(child: tuple[str, str], model: Path) -> None:
    """Destroying the parent's session in the child would wait for threads that are not there, or crash."""
    code = (
        FORKS
        + f"""
child = os.fork()
if not child:
    {child[1] or "pass"}
    sys.exit(0)
print(status(child))
"""
    )
    result = run_python(code, model)
    assert (result.stdout, result.stderr) == ("0\n", "")


@of_onnxruntime
@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_of_a_server_that_preloads_exit(model: Path) -> None:
    """Forked with a thread at work, while `runtime.classify` keeps artefacts open, and one has failed."""
    code = (
        FORKS
        + """
try:
    runtime.load(open(path, "rb").read()[:-1], threads=2)
except runtime.KitError as error:
    failed = error
runtime.classify(images[0], model=path)
stop = threading.Event()
busy = threading.Thread(target=lambda: [given[0].classify(images[0]) for _ in iter(stop.is_set, True)])
busy.start()
found = []
for _ in range(5):
    child = os.fork()
    if not child:
        runtime.classify(images[0], model=path)
        given[0].classify(images[0])
        sys.exit(0)
    found.append(status(child))
stop.set()
busy.join()
print(found)
"""
    )
    result = run_python(code, model)
    assert result.stdout == "[0, 0, 0, 0, 0]\n", result.stderr


@pytest.mark.spawns
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pickles_travel_to_other_processes(method: str, classifier: Classifier, images: Pixels) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(classifier.probabilities, (images,))
    np.testing.assert_array_equal(found, classifier.probabilities(images))


@of_onnxruntime
def test_a_pickle_needs_no_file(model: Path, tmp_path: Path, images: Pixels) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    data = pickle.dumps(runtime.load(path, threads=2))
    path.unlink()
    again = pickle.loads(data)
    assert again.classify(images[0]) == runtime.load(model).classify(images[0])
    assert again.info()["threads"] == 2


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_memory_stays_flat(classifier: Classifier, images: Pixels) -> None:
    def calls(count: int) -> None:
        classify: Callable[..., Any] = classifier.classify
        for _ in range(count):
            classify(images[0])

    calls(2000)
    before = resident()
    calls(50_000)
    assert resident() - before < 2 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_memory_stays_flat_over_a_million_calls_and_in_eight_threads(classifier: Classifier, images: Pixels) -> None:
    expected = classifier.classify(images[0])

    def calls(count: int) -> bool:
        return all(classifier.classify(images[0]) == expected for _ in range(count))

    assert calls(10_000)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(calls, [1000] * 8))
        before = resident()
        assert all(pool.map(calls, [100_000] * 8))
    assert calls(1_000_000)
    assert resident() - before < 4 * 2**20


@of_onnxruntime
@pytest.mark.skipif(not LINUX, reason="counts processor time as Linux does")
def test_idle_it_uses_no_processor(model: Path, images: Pixels) -> None:
    classifier = runtime.load(model, threads=2)
    classifier.probabilities(np.repeat(images, 10, axis=0))
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


@pytest.mark.spawns
def test_nothing_is_written_or_printed(exported: dict[str, Path], tmp_path: Path) -> None:
    """In an empty home, through every way of use."""
    code = """
import numpy as np
import runtime
for path in sys.argv[1:]:
    classifier = runtime.load(path, selftest=True)
    classifier.classify(np.zeros((8, 8), np.uint8))
    classifier.classify_batch([np.full((8, 8), 9, np.uint8)] * 3)
    classifier.info()
    runtime.classify(np.zeros((8, 8), np.uint8), model=path)
    try:
        runtime.load(b"no model")
    except runtime.KitError:
        pass
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR")}
    paths = [exported[name] for name in OPENED]
    result = run_python(code, *paths, cwd=home, environment=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(home.iterdir()) == []


@pytest.mark.spawns
def test_no_signal_handler_is_touched(model: Path) -> None:
    code = """
import signal
names = [name for name in signal.valid_signals() if name not in (signal.SIGKILL, signal.SIGSTOP)]
before = [signal.getsignal(name) for name in names]
import runtime
runtime.load(sys.argv[1])
print(before == [signal.getsignal(name) for name in names])
"""
    assert run_python(code, model).stdout == "True\n"
