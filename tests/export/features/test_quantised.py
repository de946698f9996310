"""The 8-bit graph: on which processors the weights have 7 bits, which nodes stay in float32, and patches in 8 bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import runtime
from export import ExportError, export
from export.features import quantised as module
from export.features.graph import model_of
from export.features.quantised import quantised, sums_exactly
from tests.export.features.graphs import convolution, pictures
from trainer import Dataset, FeatureSettings, FitConfig, fit, load_features
from trainer.data.features import Features
from trainer.features.patches import IN_FLOAT


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "fpu avx2 avx512_vnni", True),
        ("x86_64", "fpu avx_vnni avx2", True),
        ("AMD64", "fpu avx2 avx512f", False),
        ("x86_64", None, False),
        ("aarch64", None, True),
    ],
)
def test_processors(
    machine: str, flags: str | None, exact: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    if flags:
        path.write_text(f"flags : {flags}\n")
    monkeypatch.setattr(module, "CPUINFO", path)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert sums_exactly() == exact


@pytest.mark.parametrize(("exact", "largest"), [(True, 127), (False, 64)])
def test_weights_have_7_bits_where_sums_saturate(
    exact: bool, largest: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "sums_exactly", lambda: exact)
    found = quantised(convolution(), pictures(10))
    assert capfd.readouterr() == ("", "")
    assert found.about["int8"]["reduce_range"] != exact
    weights = [numpy_helper.to_array(tensor) for tensor in model_of(found).graph.initializer]
    reach = max(int(np.abs(part.astype(int)).max()) for part in weights if part.dtype == np.int8)
    assert largest - 1 <= reach <= largest


def test_a_graph_that_cannot_be_quantised() -> None:
    broken = Features("broken", 3, np.arange(20, dtype=np.uint8), {})
    with pytest.raises(ExportError, match=r"expected a features graph that onnxruntime can quantise, .* for 'broken'"):
        quantised(broken, pictures(2))


def test_the_graph_stays_standard() -> None:
    model = model_of(quantised(convolution(), pictures(10)))
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}


def test_patches_in_8_bits(digits: Dataset, tmp_path: Path) -> None:
    """Nearly all labels are those in float32; the nodes that whiten are as they were, and only these."""
    data = load_features(digits, "patches", FeatureSettings(filters=64))
    checkpoint = fit(data, FitConfig(device="cpu")).checkpoint
    whole, bytewise = (
        runtime.load(export(checkpoint, name, tmp_path / f"{name}.onnx").path) for name in ("onnx", "onnx-int8")
    )
    images = data.test.images[:].numpy()
    labels, found = (each.probabilities(images).argmax(1) for each in (whole, bytewise))
    assert (found == labels).mean() >= 0.99
    graph = onnx.load(tmp_path / "onnx-int8.onnx").graph
    in_bytes = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convolutions = {
        node.name.removeprefix("features/"): set(node.input) for node in graph.node if node.op_type == "Conv"
    }
    assert {name for name, given in convolutions.items() if given & in_bytes} == {"filter"}
    assert convolutions["filter"] <= in_bytes
    assert convolutions.keys() - IN_FLOAT == {"filter"}


def test_features_that_name_no_node() -> None:
    """Every convolution is in 8 bits, of a checkpoint that has no "in_float", and of one that names other nodes."""
    features, images = convolution(), pictures(10)
    plain = quantised(features, images)
    assert [node.op_type for node in model_of(plain).graph.node].count("Conv") == 2
    other = quantised(features._replace(about={"in_float": ["none"]}), images)
    np.testing.assert_array_equal(other.graph, plain.graph)
