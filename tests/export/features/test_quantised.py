"""The 8-bit graph: on which processors the weights have 7 bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export import ExportError
from export.features import quantised as module
from export.features.graph import model_of
from export.features.quantised import quantised, sums_exactly
from tests.export.features.graphs import convolution, pictures
from trainer.data.features import Features


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
