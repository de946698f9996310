"""Sizes of installed packages."""

from benchmarks.tools import installed


def test_what_an_install_takes() -> None:
    plain, training = set(installed.needed(["softmax-kit"])), set(installed.needed(["softmax-kit[train]"]))
    assert {"click", "numpy", "onnxruntime", "softmax-kit"} <= plain
    assert "torch" not in plain
    assert plain | {"torch", "scikit-learn", "onnx"} <= training
    alone = installed.own_size(installed.needed(["softmax-kit"])["softmax-kit"])
    assert 100_000 < alone < installed.size(["onnxruntime"]) < installed.size(["softmax-kit"])
