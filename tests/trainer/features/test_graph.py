import onnx
import pytest

from trainer.errors import DataError
from trainer.features.graph import finished


def test_a_model_that_the_checker_refuses() -> None:
    model = onnx.ModelProto()
    model.graph.node.add(op_type="Relu", input=["nowhere"], output=["y"])
    with pytest.raises(
        DataError, match=r"^net: expected an ONNX file that onnx.checker passes, found one that it refuses"
    ):
        finished(model, "net")
