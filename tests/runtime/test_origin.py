"""A signal handler's exceptions pass through the runtime; libraries' errors are translated, and chained."""

import io
import signal
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from runtime import ArtefactError, InputError, KitError
from runtime.origin import raised_by
from tests.backends import of_onnxruntime
from tests.interpreter import run_python
from tests.runtime.given import GREY, noise

INTERRUPTED = """
import collections, ctypes, io, random, signal, threading, time, warnings
import numpy as np
from PIL import Image
import runtime

class TimeLimitError(Exception):
    "As celery's SoftTimeLimitExceeded."

warnings.simplefilter("ignore")
random.seed(0)
model = sys.argv[1]
photo = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
Image.fromarray(photo).save("photo.png")
data = open("photo.png", "rb").read()
classifier = runtime.load(model)
images = np.repeat(classifier.metadata.golden.images, 500, axis=0)
work = {
    "an array": lambda: classifier.classify(images[0]),
    "an array of another size": lambda: classifier.classify(photo),
    "a file": lambda: classifier.classify("photo.png"),
    "bytes": lambda: classifier.classify(data),
    "a Pillow image": lambda: classifier.classify(Image.open("photo.png")),
    "a batch": lambda: classifier.classify_batch([data] * 9),
    "probabilities": lambda: classifier.probabilities(images),
    "load": lambda: runtime.load(model),
    "load and selftest": lambda: runtime.load(model, selftest=True),
    "runtime.classify": lambda: runtime.classify(images[0], model=model),
}
for call in work.values():  # imports everything: Python's import ignores any OSError
    call()

def until_interrupted(call, wait=0):
    try:
        signal.setitimer(signal.ITIMER_REAL, wait)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            call()
    except BaseException as error:
        return type(error).__name__

def report(found, kind):
    wrong = {name: dict(count) for name, count in found.items() if set(count) != {kind.__name__}}
    print(wrong or "all")
"""

BY_SIGNAL = """
def handler(*_):
    raise kind("too late")

kind = eval(sys.argv[2])
signal.signal(signal.SIGALRM, handler)
found = {name: collections.Counter() for name in work}
for name, call in work.items():
    for _ in range(30):
        found[name][until_interrupted(call, random.uniform(2e-4, 4e-3))] += 1
report(found, kind)
"""

BY_THREAD = """
here = ctypes.c_ulong(threading.get_ident())
kind = ctypes.py_object(TimeLimitError)
found = {"bytes": collections.Counter()}
for _ in range(30):
    timer = threading.Timer(0.01, lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(here, kind))
    timer.start()
    found["bytes"][until_interrupted(work["bytes"])] += 1
report(found, TimeLimitError)
"""


@pytest.mark.spawns
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
@pytest.mark.parametrize("kind", ["TimeLimitError", "TimeoutError", "RuntimeError", "OSError", "KeyboardInterrupt"])
def test_a_signal_handlers_exception_passes(kind: str, model: Path, tmp_path: Path) -> None:
    result = run_python(INTERRUPTED + BY_SIGNAL, model, kind, cwd=tmp_path)
    assert result.stdout == "all\n", result.stderr


@pytest.mark.spawns
def test_another_threads_exception_passes(model: Path, tmp_path: Path) -> None:
    """As rq's and stopit's timeouts are raised, in whatever function runs."""
    result = run_python(INTERRUPTED + BY_THREAD, model, cwd=tmp_path)
    assert result.stdout == "all\n", result.stderr


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_pillows_errors_are_translated_and_chained(format: str, model: Path) -> None:  # noqa: A002
    """Whatever is damaged, and however deep in the standard library the error comes from."""
    classifier = runtime.load(model)
    data, rng = noise(format), np.random.default_rng(0)
    causes = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(150):
            damaged = bytearray(data)
            for at in rng.integers(0, min(len(data), 400), 5).tolist():
                damaged[at] = int(rng.integers(256))
            try:
                classifier.classify(bytes(damaged[: int(rng.integers(20, len(data)))]))
            except InputError as error:
                causes += error.__cause__ is not None
    assert causes > 20


@of_onnxruntime
def test_onnxruntimes_errors_are_chained() -> None:
    with pytest.raises(ArtefactError, match="expected an ONNX file that onnxruntime") as caught:
        runtime.session.open_session(b"no model")
    assert type(caught.value.__cause__).__module__.startswith("onnxruntime.")


def test_names_keep_the_cause(model: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(noise("PNG")[:-2000])
    for call in (
        lambda: runtime.load(model).classify(tmp_path / "photo.png"),
        lambda: runtime.load(tmp_path / "no.onnx"),
    ):
        with pytest.raises(KitError) as caught:
            call()
        assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(InputError, match=r"^image 1: ") as found:
        runtime.load(model).classify_batch([GREY, tmp_path / "photo.png"])
    assert isinstance(found.value.__cause__, InputError)


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def in_package(name: str, statement: str) -> Callable[[], Any]:
    """A function of another package that does one thing."""
    names: dict[str, Any] = {"__name__": name, "struct": struct, "zlib": zlib, "io": io}
    exec(f"def function():\n    {statement}", names)
    function: Callable[[], Any] = names["function"]
    return function


@pytest.mark.parametrize(
    ("name", "statement", "expected"),
    [
        ("PIL.x", "raise OSError('cut off')", True),
        ("PIL.x", "raise SyntaxError", True),
        ("PIL.x", "struct.unpack('I', b'')", True),
        ("PIL.x", "zlib.decompress(b'x')", True),
        ("PIL.x", "raise MemoryError", False),
        ("PIL.x", "raise TimeoutError", False),
        ("PIL.x", "raise TimeoutError(110, 'Connection timed out')", True),
        ("PILLOW", "raise OSError('cut off')", False),
        ("__main__", "raise ValueError", False),
        ("fractions", "raise ZeroDivisionError", False),
    ],
)
def test_whose_an_error_is(name: str, statement: str, expected: bool) -> None:
    assert raised_by(raised(in_package(name, statement)), "PIL") is expected
