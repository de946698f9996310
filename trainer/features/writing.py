"""Writes a convolutional network of torch as a features graph, operator by operator, with batch norms folded.

torch.onnx.export writes opset 18 and newer, and other bytes with each release. This writes opset 13, which every
onnxruntime from 1.15 on loads, and the same bytes with every torch.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from runtime.errors import needs_extra

from .graph import FEATURES, IMAGES, OPSET, finished

if TYPE_CHECKING:
    import onnx

SIMPLE = {
    nn.ReLU: ("Relu", {}),
    nn.Hardsigmoid: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    nn.Sigmoid: ("Sigmoid", {}),
}
GATES = {nn.Hardswish: nn.Hardsigmoid, nn.SiLU: nn.Sigmoid}  # x · gate(x)
FUNCTIONS = {operator.add: "Add", operator.iadd: "Add", torch.add: "Add", operator.mul: "Mul", torch.mul: "Mul"}
SAME = (nn.Dropout, nn.Identity)  # as their input, once trained


class Writer:
    """Nodes and constants of a graph, as they come.

    name: of the network, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, np.ndarray[Any, Any]] = {}
        self.pads: dict[str, Sequence[int]] = {}  # of what a ZeroPad2d gives, which the next convolution adds

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any) -> str:
        """Add a constant, float32; returns its name."""
        self.tensors[name] = np.asarray(values, np.float32)
        return name

    def module(self, module: nn.Module, path: str, source: str, output: str) -> str:
        """Write what a module makes of `source`; returns the name of that. path: of the module, for its constants."""
        kind = type(module)
        if kind in SIMPLE:
            operation, attributes = SIMPLE[kind]
            return self.add(operation, [source], output, **attributes)
        if kind in GATES:
            gate = self.module(GATES[kind](), path, source, f"{output}_gate")
            return self.add("Mul", [source, gate], output)
        if isinstance(module, nn.ReLU6):
            return self.add("Clip", [source, self.constant("0", 0), self.constant("6", 6)], output)
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, path, source, output)
        if isinstance(module, nn.ZeroPad2d):
            left, right, top, bottom = module.padding
            self.pads[source] = (top, left, bottom, right)
            return source
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            return self.add("GlobalAveragePool", [source], output)
        if isinstance(module, nn.MaxPool2d):
            window = {"kernel_shape": _pair(module.kernel_size), "strides": _pair(module.stride)}
            return self.add("MaxPool", [source], output, **window, pads=_pair(module.padding) * 2)
        if isinstance(module, SAME):
            return source
        raise TypeError(f"{self.name}: a {kind.__name__} at {path}")

    def function(self, function: Any, inputs: Sequence[str], output: str) -> str:
        """Write what a function makes of `inputs`; returns the name of that."""
        if function in FUNCTIONS:
            return self.add(FUNCTIONS[function], inputs, output)
        if function is torch.flatten:
            return self.add("Flatten", inputs, output, axis=1)
        if function.__name__ == "stochastic_depth":  # skips no block once trained
            return inputs[0]
        raise TypeError(f"{self.name}: a {function.__name__}")

    def _convolution(self, module: nn.Conv2d, path: str, source: str, output: str) -> str:
        inputs = [source, self.constant(f"{path}.weight", module.weight.detach().numpy())]
        if module.bias is not None:
            inputs.append(self.constant(f"{path}.bias", module.bias.detach().numpy()))
        pads = self.pads.get(source) or (*module.padding, *module.padding)
        window = {"kernel_shape": module.kernel_size, "strides": module.stride, "dilations": module.dilation}
        return self.add("Conv", inputs, output, **window, group=module.groups, pads=pads)


def write(network: nn.Module, name: str, *, image_size: int, mean: Sequence[float], scale: Sequence[float]) -> bytes:
    """Write a trained network as a features graph; equal arguments give equal bytes.

    network: float32 [N, C, H, W] → [N, D], of convolutions, poolings and activations that `Writer` knows.
    name: of the network.
    image_size: height and width of the images.
    mean, scale: C numbers each; the network's input is (pixel − mean) / scale, pixels 0-255.
    """
    with needs_extra("train", "writing a features graph"):
        from onnx import TensorProto, helper, numpy_helper
        from onnx.shape_inference import infer_shapes

    writer = Writer(name)
    first = writer.add("Transpose", [IMAGES], "channels_first", perm=[0, 3, 1, 2])
    pixels = writer.add("Cast", [first], "pixels", to=TensorProto.FLOAT)
    centred = writer.add("Sub", [pixels, writer.constant("mean", np.reshape(mean, (-1, 1, 1)))], "centred")
    normal = writer.add("Div", [centred, writer.constant("scale", np.reshape(scale, (-1, 1, 1)))], "normalised")
    _walk(cast(fx.GraphModule, fuse(network.double().eval())), writer, normal)
    writer.nodes[-1].output[0] = FEATURES
    graph = helper.make_graph(
        writer.nodes,
        "features",
        [helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", image_size, image_size, len(mean)])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in writer.tensors.items()],
    )
    model = infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))
    del model.graph.value_info[:]
    return finished(model, name)


def _walk(network: fx.GraphModule, writer: Writer, source: str) -> None:
    """Write the nodes of a traced network, whose input is `source`."""
    modules = dict(network.named_modules())
    values: dict[Any, str] = {}
    for node in network.graph.nodes:
        inputs = [values[value] for value in node.args if isinstance(value, fx.Node)]
        if node.op == "placeholder":
            values[node] = source
        elif node.op == "call_module":
            values[node] = writer.module(modules[node.target], node.target, inputs[0], node.name)
        elif node.op == "call_function":
            values[node] = writer.function(node.target, inputs, node.name)
        elif node.op != "output":
            raise TypeError(f"{writer.name}: {node.op} {node.target}")


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
