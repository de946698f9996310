"""ONNX artefacts in runtimes that are neither onnxruntime nor ours: what they answer, against `runtime.load`."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tract
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

import runtime
from runtime.artefact import INPUT, OUTPUT
from tests.environments import install, run_with
from trainer import Checkpoint

# Each runtime sums up and rounds in an order of its own. 2e-7 is seen.
TOLERANCE = 1e-6

FORMATS = ["onnx", "onnx-int8"]

# Arguments: the images, and the files to give them to. On processors with bfloat16 OpenVINO multiplies in that unless
# told otherwise, and is off by some 0.01.
OPENVINO = """
import json, sys
import numpy, openvino

images = numpy.load(sys.argv[1])
core = openvino.Core()
answers = {}
for path in sys.argv[2:]:
    model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers[path] = model({"images": images})["probabilities"].tolist()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def images(checkpoint: Checkpoint) -> NDArray[np.uint8]:
    """The golden images, one that is all black, one all white, and random ones."""
    golden = checkpoint.golden_images
    noise = np.random.default_rng(5).integers(0, 256, (100, *golden.shape[1:]), np.uint8)
    return np.concatenate([golden, np.zeros_like(golden[:1]), np.full_like(golden[:1], 255), noise])


def assert_same(found: NDArray[np.float32], path: Path, images: NDArray[np.uint8]) -> None:
    expected = runtime.load(path).probabilities(images)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FORMATS)
def test_tract(name: str, exported: dict[str, Path], images: NDArray[np.uint8]) -> None:
    """Written in Rust, for embedded devices."""
    runnable = tract.onnx().load(exported[name]).into_model().into_runnable()
    assert_same(runnable.run([images])[0].to_numpy(), exported[name], images)
    assert_same(runnable.run([images[:1]])[0].to_numpy(), exported[name], images[:1])


def test_the_reference_evaluator_on_int8(exported: dict[str, Path], images: NDArray[np.uint8]) -> None:
    """The standard's own; test_parity.py has float32."""
    outputs = ReferenceEvaluator(onnx.load(exported["onnx-int8"])).run([OUTPUT], {INPUT: images})
    assert isinstance(outputs, list)
    assert_same(np.asarray(outputs[0]), exported["onnx-int8"], images)


@pytest.mark.spawns
@pytest.mark.slow
def test_openvino(exported: dict[str, Path], images: NDArray[np.uint8], tmp_path: Path) -> None:
    """180 MB, so in an environment of its own; and without what it depends on, so that it reports to nobody."""
    python = install(tmp_path / "environment", ["numpy", "openvino"], "--only-binary", ":all:", "--no-deps")
    np.save(tmp_path / "images.npy", images)
    files = [exported[name] for name in FORMATS]
    answers = json.loads(run_with(python, OPENVINO, tmp_path / "images.npy", *files))
    for path in files:
        assert_same(np.array(answers[str(path)], np.float32), path, images)
