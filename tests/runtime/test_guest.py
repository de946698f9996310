"""The runtime inside somebody's process: threads, forks, pickles, providers, memory, idleness."""

import gc
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import runtime
from runtime import ArtefactError, Classifier, InputError, SelfTestError
from runtime.image import Pixels
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


def test_predictions_do_not_share_buffers(classifier: Classifier, images: Pixels) -> None:
    one, two = classifier.classify(images[0]), classifier.classify(images[1])
    assert one == classifier.classify(images[0]) != two
    rows = classifier.probabilities(images[:1]), classifier.probabilities(images[1:2])
    np.testing.assert_array_equal(rows[0], classifier.probabilities(images[:1]))


def test_every_form_of_an_array(classifier: Classifier, images: Pixels) -> None:
    image = images[3]
    expected = classifier.classify(image)
    read_only = image.copy()
    read_only.flags.writeable = False
    forms = [
        image[:, :, 0],
        np.asfortranarray(image),
        np.repeat(image, 2, axis=0)[::2],
        image[::-1][::-1],
        read_only,
        image.view(type("Mine", (np.ndarray,), {})),
    ]
    for form in forms:
        assert classifier.classify(form) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_fork_the_child_opens_its_own_session(classifier: Classifier, images: Pixels, model: Path) -> None:
    expected = [classifier.classify(image) for image in images[:20]]
    assert runtime.classify(images[0], model=model) == expected[0]
    parents = classifier._session

    def child(results: Any) -> None:
        forgotten = classifier._session is None
        answers = [classifier.classify(image) for image in images[:20]]
        own = classifier._session is not None and classifier._session is not parents
        results.put((forgotten, own, answers == expected, runtime.classify(images[0], model=model) == expected[0]))

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [classifier.classify(images[0]) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        for _ in range(5):
            process = context.Process(target=child, args=(results,))
            process.start()
            assert results.get() == (True, True, True, True)
            process.join(30)
            assert process.exitcode == 0
    finally:
        stop.set()
        busy.join()
    assert [classifier.classify(image) for image in images[:20]] == expected


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


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pickles_travel_to_other_processes(method: str, classifier: Classifier, images: Pixels) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(classifier.probabilities, (images,))
    np.testing.assert_array_equal(found, classifier.probabilities(images))


def test_a_pickle_needs_no_file(model: Path, tmp_path: Path, images: Pixels) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    data = pickle.dumps(runtime.load(path, threads=2))
    path.unlink()
    again = pickle.loads(data)
    assert again.classify(images[0]) == runtime.load(model).classify(images[0])
    assert again.info()["threads"] == 2


def test_bytes_instead_of_a_path(model: Path, images: Pixels) -> None:
    data = model.read_bytes()
    forms: list[Any] = [data, bytearray(data)]
    for form in forms:
        assert runtime.load(form).classify(images[0]) == runtime.load(model).classify(images[0])
    with pytest.raises(ArtefactError, match=r"^these bytes: expected an artefact made by `kit export`"):
        runtime.load(b"no model")


@pytest.mark.parametrize("providers", [["CUDAExecutionProvider", "CPUExecutionProvider"], ["NoSuch"], []])
def test_providers_that_are_not_there(model: Path, providers: list[str]) -> None:
    with pytest.raises(
        ArtefactError, match=r"expected providers out of .*CPUExecutionProvider, found (CUDA|NoSuch|none)"
    ):
        runtime.load(model, providers=providers)


def test_a_provider_that_onnxruntime_leaves_out(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It claims to have a provider, opens the session and falls back to the CPU."""
    ort = runtime.session.onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", lambda model, options, **_: real(model, options))
    with pytest.raises(
        ArtefactError, match="expected providers out of CPUExecutionProvider, found CUDAExecutionProvider"
    ):
        runtime.load(model, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.parametrize("threads", [0, -1, 1.5, None, True])
def test_threads_out_of_range(model: Path, threads: Any) -> None:
    with pytest.raises(ArtefactError, match="expected at least 1 thread, found"):
        runtime.load(model, threads=threads)


def test_settings_show_in_info(model: Path, exported: dict[str, Path]) -> None:
    info = runtime.load(model, threads=2, spinning=True).info()
    assert (info["threads"], info["providers"]) == (2, ["CPUExecutionProvider"])
    assert info["size"] == model.stat().st_size
    assert [runtime.load(exported[name]).info()["format"] for name in ("onnx", "onnx-int8", "ort")] == [
        "onnx",
        "onnx-int8",
        "ort",
    ]


def test_a_batch_of_files_in_order_and_bounded(
    classifier: Classifier, images: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.classifier.BLOCK_IMAGES", 4)
    taken: list[int] = []
    given: list[int] = []

    def files() -> Iterator[Path | Pixels]:
        for number in range(18):
            taken.append(number)
            path = tmp_path / f"{number}.png"
            Image.fromarray(images[number, :, :, 0]).save(path)
            yield path if number % 3 else images[number]

    whole = classifier.probabilities

    def probabilities(pixels: Pixels) -> NDArray[np.float32]:
        given.append(len(taken))
        return whole(pixels)

    monkeypatch.setattr(classifier, "probabilities", probabilities)
    found = classifier.classify_batch(files())
    assert given == [4, 8, 12, 16, 18]
    assert [prediction.index for prediction in found] == whole(images[:18]).argmax(axis=1).tolist()


def test_a_batch_of_arrays_takes_no_threads(
    classifier: Classifier, images: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: int) -> None:
        raise AssertionError

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", never)
    found = classifier.classify_batch([images[0], *images[1:, :, :, 0]])
    assert [prediction.index for prediction in found] == classifier.probabilities(images).argmax(axis=1).tolist()
    with pytest.raises(AssertionError):
        classifier.classify_batch([*images[:3], np.zeros((9, 8), np.uint8)])


def test_a_bad_image_in_a_batch_is_named(classifier: Classifier, images: Pixels, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"^image 300: .*bad\.png: expected an image file"):
        classifier.classify_batch([*images[:300], tmp_path / "bad.png"])


def test_the_self_test_runs_one_by_one_too(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is wrong for single images only."""
    session: Any = classifier._session

    class Odd:
        def run(self, names: Any, feed: dict[str, Pixels]) -> list[NDArray[np.float32]]:
            found: NDArray[np.float32] = session.run(names, feed)[0]
            return [found + (0.01 if len(found) == 1 else 0)]

    monkeypatch.setattr(classifier, "_session", Odd())
    with pytest.raises(SelfTestError, match=r"found a difference of 0\.01"):
        classifier.selftest()


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


@pytest.mark.skipif(not LINUX, reason="counts processor time as Linux does")
def test_idle_it_uses_no_processor(model: Path, images: Pixels) -> None:
    classifier = runtime.load(model, threads=2)
    classifier.probabilities(np.repeat(images, 10, axis=0))
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


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
    paths = [exported[name] for name in ("onnx", "onnx-int8", "ort")]
    result = run_python(code, *paths, cwd=home, environment=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(home.iterdir()) == []


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
