"""The ONNX file: what is in it, and that it is always the same."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import runtime
from export import export
from tests.interpreter import run_python
from trainer import Checkpoint, save_checkpoint


def test_the_graph(model: Path) -> None:
    proto = onnx.load(model)
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["Cast", "Flatten", "Gemm", "Softmax"]
    assert (proto.ir_version, [(item.domain, item.version) for item in proto.opset_import]) == (7, [("", 13)])
    (images,), (probabilities,) = proto.graph.input, proto.graph.output
    assert (images.name, images.type.tensor_type.elem_type) == ("images", TensorProto.UINT8)
    assert [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim] == ["N", 8, 8, 1]
    assert (probabilities.name, probabilities.type.tensor_type.elem_type) == ("probabilities", TensorProto.FLOAT)
    assert [dim.dim_param or dim.dim_value for dim in probabilities.type.tensor_type.shape.dim] == ["N", 10]
    assert {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer} == {"weights": [64, 10], "bias": [10]}


def test_one_file_with_nothing_of_this_machine_in_it(model: Path, checkpoint: Checkpoint) -> None:
    data = model.read_bytes()
    assert len(data) < checkpoint.weights.nbytes + 4700
    assert str(model.parent).encode() not in data
    assert not any(tensor.external_data for tensor in onnx.load(model).graph.initializer)


@pytest.mark.spawns
def test_no_torch_is_needed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors', '--format', 'onnx', '--format', 'onnx-int8'])"
    absent = ["torch", "torchvision", "sklearn", "tqdm", "PIL"]
    result = run_python(code, cwd=tmp_path, without=absent)
    assert (result.returncode, result.stderr) == (0, "")
    assert runtime.load(tmp_path / "model.onnx").labels == checkpoint.labels


def test_a_thousand_classes_with_every_kind_of_name(tmp_path: Path) -> None:
    labels = ("a,b", 'say "c"', "köln", "鞋", "line\nbreak", *(f"class {i}" for i in range(995)))
    generator = np.random.default_rng(0)
    image = runtime.image.ImageContract(height=3, width=2, color="RGB")
    golden = generator.integers(0, 256, (2, 3, 2, 3), np.uint8)
    weights = generator.normal(size=(18, 1000)).astype(np.float32)
    checkpoint = Checkpoint(
        weights=weights,
        bias=np.zeros(1000, np.float32),
        mean=np.array([100, 110, 120], np.float32),
        std=np.array([50, 60, 70], np.float32),
        golden_images=golden,
        golden_probabilities=np.zeros((2, 1000), np.float32),
        sample_images=golden,
        labels=labels,
        image=image,
        provenance={},
    )
    logits = ((golden - checkpoint.mean) / checkpoint.std).reshape(2, 18) @ weights
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    export(dataclasses.replace(checkpoint, golden_probabilities=probabilities), "onnx", tmp_path / "model.onnx")
    assert runtime.load(tmp_path / "model.onnx").labels == labels
