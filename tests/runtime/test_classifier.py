"""Predictions, batches, probabilities and the self-test."""

import pickle
import re
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import runtime
from runtime import ArtefactError, Classifier, ImageContract, InputError, Prediction, SelfTestError
from runtime.image import Pixels
from tests.backends import NUMPY, of_onnxruntime
from tests.runtime.given import change, past_first_images
from trainer import Checkpoint, Dataset, Fit


@pytest.fixture
def pixels(digits: Dataset) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return digits.test.images.numpy()


def test_a_prediction(classifier: Classifier, digits: Dataset, digits_fit: Fit) -> None:
    expected = digits_fit.model.probabilities(digits.test.images[:1])[0]
    prediction = classifier.classify(digits.test.images[0].numpy())
    assert isinstance(prediction, Prediction)
    assert prediction.index == int(expected.argmax())
    assert prediction.label == digits.labels[prediction.index]
    assert prediction.probability == pytest.approx(float(expected.max()), abs=1e-5)
    assert prediction.top == [(prediction.label, prediction.probability)]
    values = prediction.label, prediction.probability, prediction.index, prediction.top
    assert [type(value) for value in values] == [str, float, int, list]
    assert pickle.loads(pickle.dumps(prediction)) == prediction != classifier.classify(digits.test.images[1].numpy())
    assert eval(repr(prediction)) == prediction


def test_the_best_first(classifier: Classifier, digits_fit: Fit, digits: Dataset) -> None:
    expected = digits_fit.model.probabilities(digits.test.images[:1])[0].sort(descending=True)
    top = classifier.classify(digits.test.images[0].numpy(), top_k=4).top
    assert [label for label, _ in top] == [digits.labels[index] for index in expected.indices[:4].tolist()]
    assert [probability for _, probability in top] == pytest.approx(expected.values[:4].tolist(), abs=1e-5)
    assert len(classifier.classify(digits.test.images[0].numpy(), top_k=99).top) == 10


@pytest.mark.parametrize("top_k", [0, -1, 1.5, None])
def test_top_k_out_of_range(classifier: Classifier, top_k: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"expected top_k of at least 1, got {top_k!r}")):
        classifier.classify(np.zeros((8, 8), np.uint8), top_k=top_k)
    with pytest.raises(InputError, match="expected top_k"):
        classifier.classify_batch([], top_k=top_k)


@pytest.mark.parametrize("layout", ["strided", "transposed", "reversed", "read-only"])
def test_arrays_of_every_memory_layout(classifier: Classifier, pixels: Any, layout: str) -> None:
    expected = classifier.probabilities(pixels[:5])
    other = {
        "strided": np.repeat(pixels[:5], 2, axis=2)[:, :, ::2],
        "transposed": np.ascontiguousarray(pixels[:5].transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3),
        "reversed": np.ascontiguousarray(pixels[:5, ::-1])[:, ::-1],
        "read-only": np.frombuffer(pixels[:5].tobytes(), np.uint8).reshape(5, 8, 8, 1),
    }[layout]
    np.testing.assert_array_equal(classifier.probabilities(other), expected)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "float32 [2, 8, 8, 1]"),
        (np.zeros((8, 8, 1), np.uint8), "uint8 [8, 8, 1]"),
        (np.zeros((2, 8, 8), np.uint8), "uint8 [2, 8, 8]"),
        (np.zeros((2, 8, 9, 1), np.uint8), "uint8 [2, 8, 9, 1]"),
        (np.zeros((2, 8, 8, 3), np.uint8), "uint8 [2, 8, 8, 3]"),
        ([[1]], "list"),
        (None, "NoneType"),
    ],
)
def test_pixels_that_do_not_fit(classifier: Classifier, value: Any, found: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"expected uint8 [N, 8, 8, 1], got {found}: classify_batch takes")):
        classifier.probabilities(value)


def test_labels_and_info(classifier: Classifier, checkpoint: Checkpoint) -> None:
    assert classifier.labels == tuple("0123456789")
    info = classifier.info()
    assert info["backend"] == ("numpy" if NUMPY else "onnxruntime")
    assert info["providers"] == ([] if NUMPY else ["CPUExecutionProvider"])
    assert info["provenance"]["checkpoint"] == checkpoint.digest()
    assert info["image"] == asdict(ImageContract(height=8, width=8))
    assert (info["optional_outputs"], info["decision"]) == ([], None)


def test_the_self_test_passes(classifier: Classifier) -> None:
    assert 0 <= classifier.selftest() <= 1e-5


def test_the_self_test_finds_a_changed_weight(model: Path, tmp_path: Path) -> None:
    def edit(proto: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "bias")
        values = numpy_helper.to_array(bias).copy()
        values[3] += 0.01
        bias.CopyFrom(numpy_helper.from_array(values, "bias"))

    damaged = runtime.load(change(model, tmp_path / "m.onnx", edit))
    with pytest.raises(SelfTestError, match=r"expected golden example \d within 1e-05 of the trained model's prob"):
        damaged.selftest()


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


@of_onnxruntime
def test_the_self_test_runs_one_by_one_too(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is wrong for single images only."""
    session: Any = runtime.session.onnxruntime().InferenceSession
    right = session.run

    def odd(self: Any, names: Any, feed: dict[str, Pixels]) -> list[NDArray[np.float32]]:
        found: NDArray[np.float32] = right(self, names, feed)[0]
        return [found + (0.01 if len(found) == 1 else 0)]

    monkeypatch.setattr(session, "run", odd)
    with pytest.raises(SelfTestError, match=r"found a difference of 0\.01"):
        classifier.selftest()


def test_predictions_raise_no_warning(classifier: Classifier) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.classify_batch([np.full((8, 8), value, np.uint8) for value in (0, 255)], top_k=10)


def test_closed(model: Path, images: Pixels) -> None:
    with runtime.load(model) as classifier:
        past_first_images(classifier)
        classifier.classify(images[0])
    classifier.close()
    calls: list[Any] = [
        lambda: classifier.classify(images[0]),
        lambda: classifier.classify_batch(images[:2]),
        lambda: classifier.probabilities(images[:2]),
        classifier.selftest,
        classifier.info,
        lambda: pickle.dumps(classifier),
    ]
    for call in calls:
        with pytest.raises(
            ArtefactError, match="expected an open classifier, found one that was closed: load the arte"
        ):
            call()
    assert classifier.labels == runtime.load(model).labels


def test_closing_while_other_threads_classify(model: Path, images: Pixels) -> None:
    for _ in range(20):
        classifier = past_first_images(runtime.load(model))
        expected = classifier.classify(images[0])

        def calls(classifier: Classifier = classifier, expected: Prediction = expected) -> None:
            while True:
                assert classifier.classify(images[0]) == expected

        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(calls) for _ in range(2)]
            classifier.close()
            for end in ends:
                assert isinstance(end.exception(), ArtefactError)


@of_onnxruntime
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_closing_ends_the_threads(model: Path) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    classifier = runtime.load(model, threads=64)
    left = threads() - 63
    classifier.close()
    end = time.monotonic() + 10
    while threads() > left and time.monotonic() < end:  # the system takes a moment to end them
        time.sleep(0.01)
    assert threads() <= left
