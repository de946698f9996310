"""Which backend runs, and that numpy gives what onnxruntime gives."""

import os
import pickle
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import runtime
from export import export
from runtime import ArtefactError
from runtime.backend import BACKENDS, chosen
from tests.backends import of_onnxruntime
from tests.export.arithmetic.test_centre import trained
from tests.interpreter import Kit, run_python
from trainer import Dataset, FeatureSettings, FitConfig, fit, load_features

pytestmark = of_onnxruntime  # both run here


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_numpy_gives_the_same(name: str, exported: dict[str, Path], digits: Dataset) -> None:
    images = digits.test.images.numpy()
    expected, found = (
        runtime.load(exported[name], backend=backend).probabilities(images) for backend in ("onnxruntime", "numpy")
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    classifier = runtime.load(exported[name], backend="numpy")
    singles = [classifier.classify(image).probability for image in images[:100]]  # of which some are the first images
    np.testing.assert_allclose(singles, expected[:100].max(axis=1), rtol=0, atol=1e-6)
    assert 0 <= classifier.selftest() <= classifier.metadata.golden.tolerance


def test_info_says_which(model: Path) -> None:
    for name in ("onnxruntime", "numpy"):
        info = runtime.load(model, backend=name).info()
        assert info["backend"] == name
        assert set(info["versions"]) == {"python", "numpy", name}
    assert runtime.load(model).info()["backend"] == "onnxruntime"


def test_what_numpy_does_not_take(model: Path, exported: dict[str, Path]) -> None:
    with pytest.raises(ArtefactError, match="expected no threads, spinning or providers for the backend numpy"):
        runtime.load(model, backend="numpy", threads=2)
    with pytest.raises(ArtefactError, match=r"expected an \.onnx file for the backend numpy, found onnxruntime's own"):
        runtime.load(exported["ort"], backend="numpy")
    with pytest.raises(ArtefactError, match="expected a backend out of auto, onnxruntime, numpy, found 'tpu'"):
        runtime.load(model, backend="tpu")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_environment_chooses_for_auto_alone(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_BACKEND", "numpy")
    assert chosen(backend) == ("numpy" if backend == "auto" else backend)
    monkeypatch.setenv("KIT_BACKEND", "tpu")
    if backend == "auto":
        with pytest.raises(ArtefactError, match="found 'tpu'"):
            chosen(backend)


@pytest.mark.spawns
def test_without_onnxruntime(model: Path) -> None:
    code = """
import numpy as np
import kit, runtime
classifier = runtime.load(sys.argv[1])
print(classifier.info()["backend"], classifier.classify(np.zeros((8, 8), np.uint8)).label in classifier.labels)
try:
    runtime.load(sys.argv[1], backend="onnxruntime")
except runtime.ArtefactError as error:
    print(error)
for command in (["selftest"], ["inspect"], ["bench", "--seconds", "0.1"]):
    kit.main([*command, sys.argv[1]], standalone_mode=False)
"""
    result = run_python(code, model, without=["onnxruntime", "torch", "onnx"])
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "numpy True"
    assert lines[1].endswith("found that it is not installed: pip install onnxruntime, or choose numpy")
    assert any(line.split() == ["backend", "numpy"] for line in lines)
    assert lines[-1].endswith(", backend numpy")


def test_commands(run_kit: Kit, model: Path) -> None:
    np.save("image.npy", np.zeros((8, 8), np.uint8))
    for command in (["selftest", model], ["bench", model, "--seconds", "0.1"]):
        result = run_kit(*command, "--backend", "numpy")
        assert (result.exit_code, result.stderr) == (0, "")
    assert "backend numpy" in result.stdout


def test_threads_of_one_classifier(model: Path, digits: Dataset) -> None:
    """Each has buffers of its own."""
    images = digits.test.images.numpy()[:200]
    classifier = runtime.load(model, backend="numpy")
    expected = [one.probability for one in classifier.classify_batch(images)]
    wrong: list[float] = []

    def work() -> None:
        for _ in range(5):
            found = [classifier.classify(image).probability for image in images]
            wrong.append(float(np.abs(np.array(found) - expected).max()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 40
    assert max(wrong) < 1e-6


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
def test_a_pickle_keeps_the_backend(model: Path) -> None:
    classifier = pickle.loads(pickle.dumps(runtime.load(model, backend="numpy")))
    assert classifier.info()["backend"] == "numpy"


def test_many_images_and_none(model: Path) -> None:
    classifier = runtime.load(model, backend="numpy")
    images = np.random.default_rng(0).integers(0, 256, (1000, 8, 8, 1), np.uint8)
    found = classifier.probabilities(images)
    np.testing.assert_allclose(found[333:334], classifier.probabilities(images[333:334]), atol=1e-6)
    assert classifier.probabilities(images[:0]).shape == (0, 10)


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_faint_images_whose_pixels_are_centred(name: str, tmp_path: Path) -> None:
    checkpoint = trained(128, 2, 1, 8, 32)
    path = export(checkpoint, name, tmp_path / "model.onnx").path
    expected, found = (
        runtime.load(path, backend=backend).probabilities(checkpoint.sample_images)
        for backend in ("onnxruntime", "numpy")
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_patches_and_familiarity(digits: Dataset, tmp_path: Path) -> None:
    data = load_features(digits, "patches", FeatureSettings(filters=8))
    fitted = fit(data, FitConfig(epochs=2, batch_size=32, familiarity=True, device="cpu"))
    path = export(fitted.checkpoint, "onnx", tmp_path / "model.onnx").path
    images = digits.test.images.numpy()[:100]
    expected, found = (
        runtime.load(path, backend=backend).with_familiarity(images) for backend in ("onnxruntime", "numpy")
    )
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    one, other = (runtime.load(path, backend=backend).embed(images) for backend in ("onnxruntime", "numpy"))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
