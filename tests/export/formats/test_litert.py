"""The files for LiteRT: the numbers of the files for onnxruntime, with each of LiteRT's kernels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from numpy.typing import NDArray

import runtime
from export import ExportError, export
from export.arithmetic.bound import WHITE
from export.arithmetic.centre import EXACT, LARGEST_ERROR, Centred, by_feature, rounding_error
from export.arithmetic.fold import Folded, fold
from export.arithmetic.quantise import ZERO, Quantised
from export.formats import FORMATS
from export.formats.compatibility import Target
from export.formats.onnx import prepare as prepare_float
from runtime.image import Pixels
from tests.export.features.graphs import convolution, on_features
from trainer import Checkpoint, Dataset, FitConfig, Split, fit

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
KERNELS = ("BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN", "BUILTIN_REF")  # the second one is with XNNPACK
PAIRS = {"litert": "onnx", "litert-int8": "onnx-int8"}


def coloured(deviation: float) -> Checkpoint:
    """Fit to 16 × 16 colour images with this standard deviation of the pixels."""
    generator, targets = np.random.default_rng(0), np.arange(120) % 3
    classes = generator.normal(0, 0.5, (3, 16, 16, 3))
    values = 135 + deviation * (classes[targets] + generator.normal(0, 1, (120, 16, 16, 3)))
    split = Split.of(np.clip(np.rint(values), 0, WHITE).astype(np.uint8), targets)
    data = Dataset(name="coloured", labels=("a", "b\nb", "☀"), train=split, test=split)
    return fit(data, FitConfig(batch_size=16, device="cpu", calibrate=False)).checkpoint


@pytest.fixture(scope="module")
def colour() -> Checkpoint:
    return coloured(40)


@pytest.fixture(scope="module")
def faint() -> Checkpoint:
    return coloured(0.3)


def corners(shape: tuple[int, ...], weights: NDArray[Any]) -> Pixels:
    """Random images, and those with the largest and smallest sums: uint8 [N, H, W, C]."""
    extreme = np.concatenate([WHITE * (weights.T > 0), WHITE * (weights.T < 0), np.full((1, len(weights)), WHITE)])
    noise = np.random.default_rng(1).integers(0, 256, (100, len(weights)))
    return np.concatenate([extreme, noise]).astype(np.uint8).reshape(-1, *shape)


def answer(model: bytes, images: Pixels, kernels: str, output: str = "probabilities") -> NDArray[np.float32]:
    """Run a file with LiteRT alone, and return a tensor of its graph."""
    root = schema.ModelT.InitFromPackedBuf(model)
    (graph,) = root.subgraphs
    names = [tensor.name.decode() for tensor in graph.tensors]
    graph.outputs, root.signatureDefs = [names.index(output)], None
    builder = flatbuffers.Builder()
    builder.Finish(root.Pack(builder), b"TFL3")
    interpreter = litert.Interpreter(
        model_content=bytes(builder.Output()), experimental_op_resolver_type=litert.OpResolverType[kernels]
    )
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images)
    interpreter.invoke()
    found: NDArray[np.float32] = interpreter.get_tensor(result["index"])
    return found


def logits(numbers: Quantised, images: Pixels) -> NDArray[np.float32]:
    """The logits of an int8 artefact by its definition: exact integers, then float32."""
    levels = numbers.weights.astype(np.int64) - ZERO
    sums = images.reshape(len(images), -1).astype(np.int64) @ levels
    if numbers.centre is not None:
        sums -= by_feature(numbers.centre, len(levels)).astype(np.int64) @ levels
        sums -= sums.max(axis=1, keepdims=True)
    return sums.astype(np.float32) * numbers.scale + numbers.bias


def heavy(numbers: Quantised) -> Quantised:
    """Weights so large that float32 cannot sum the products."""
    largest = np.random.default_rng(2).choice([1, 2, 254, 255], numbers.weights.shape).astype(np.uint8)
    largest[:, 0] = 255
    return replace(numbers, weights=largest)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("change", [lambda numbers: numbers, heavy], ids=["trained", "heavy"])
@pytest.mark.parametrize("name", ["colour", "faint"])
def test_int8_is_exact(
    name: str, change: Callable[[Quantised], Quantised], kernels: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """To the bit in the logits; only the softmax may round otherwise than onnxruntime's."""
    checkpoint: Checkpoint = request.getfixturevalue(name)
    module, other = FORMATS["litert-int8"].load(), FORMATS["onnx-int8"].load()
    numbers = change(module.prepare(checkpoint))
    metadata = runtime.load(export(checkpoint, "onnx-int8", tmp_path / "model.onnx").path).metadata
    images = corners(checkpoint.image.shape, numbers.weights.astype(int) - ZERO)
    model = module.write(numbers, metadata, Target())
    assert (numbers.centre is not None) == (name == "faint")
    assert (b"integer_sums" in model) == (name == "faint" or change is heavy)
    np.testing.assert_array_equal(answer(model, images, kernels, "logits"), logits(numbers, images))
    expected = runtime.load(other.write(numbers, metadata, Target())).probabilities(images)
    np.testing.assert_allclose(answer(model, images, kernels), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(runtime.load(model).probabilities(images).argmax(axis=1), expected.argmax(axis=1))


def test_heavy_weights_are_heavy(colour: Checkpoint) -> None:
    """So that the test above is one of parts: their sums are above what float32 has all integers up to."""
    assert WHITE * np.abs(heavy(FORMATS["litert-int8"].load().prepare(colour)).weights - 128.0).sum(0).max() > EXACT


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", ["checkpoint", "colour", "faint"])
def test_float32_answers_as_onnx(name: str, kernels: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    checkpoint: Checkpoint = request.getfixturevalue(name)
    paths = {kind: export(checkpoint, kind, tmp_path / kind).path for kind in ("onnx", "litert")}
    images = corners(checkpoint.image.shape, checkpoint.weights)
    expected, model = runtime.load(paths["onnx"]).probabilities(images), paths["litert"].read_bytes()
    np.testing.assert_allclose(answer(model, images, kernels), expected, rtol=0, atol=1e-5)
    assert (b"multiples" in model) == (name == "faint")


def test_sums_that_litert_would_round_too_much_are_centred(colour: Checkpoint) -> None:
    """It adds one product after the other, which rounds more than onnxruntime's blocks do."""
    weights = fold(colour)[0]
    larger = 1.1 * LARGEST_ERROR / rounding_error(weights, block=len(weights))
    sharp = replace(colour, weights=larger * colour.weights)
    assert isinstance(prepare_float(sharp), Folded)
    assert isinstance(FORMATS["litert"].load().prepare(sharp), Centred)


@pytest.mark.parametrize("name", PAIRS)
def test_operators_are_builtin_and_old(name: str, exported: dict[str, Path]) -> None:
    root = schema.ModelT.InitFromPackedBuf(exported[name].read_bytes())
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    found = {names[code.builtinCode]: code.version for code in root.operatorCodes}
    due = {"CAST": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert found == due | ({"DEQUANTIZE": 2, "MUL": 1, "ADD": 1} if name == "litert-int8" else {})
    oldest = {entry.name: bytes(root.buffers[entry.buffer].data) for entry in root.metadata}[b"min_runtime_version"]
    assert oldest.rstrip(b"\0") == (b"1.14.0" if name == "litert-int8" else b"1.5.0")
    types = {tensor.type for tensor in root.subgraphs[0].tensors if len(tensor.shape) == 2 and tensor.buffer}
    assert types == {schema.TensorType.INT8 if name == "litert-int8" else schema.TensorType.FLOAT32}


@pytest.mark.parametrize("batch", [1, 2, 257])
@pytest.mark.parametrize("name", PAIRS)
def test_its_own_signature_takes_any_batch(
    name: str, batch: int, exported: dict[str, Path], digits: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    """As LiteRT's documentation shows it, on its default kernels."""
    images = digits.test.images.numpy()[:batch]
    run: Any = litert.Interpreter(model_path=str(exported[name])).get_signature_runner("serving_default")
    found = run(images=images)["probabilities"]
    expected = runtime.load(exported[PAIRS[name]]).probabilities(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    capfd.readouterr()  # its line on XNNPACK


@pytest.mark.parametrize("name", PAIRS)
def test_a_model_on_features_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected softmax regression on pixels, .*: train on pixels for LiteRT, or"):
        export(on_features(convolution()), name, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []
