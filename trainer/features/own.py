"""A user's ONNX file as features: what is before one of its outputs, or of the values inside, for raw pixels.

```python
from trainer.features import own

own.build(Path("net.onnx"), output="pooled", pixels=own.Pixels("NCHW", [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]))
```
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from runtime.digest import digest
from runtime.errors import InputError, needs_extra
from runtime.external_data import has_external_data
from runtime.files import check_regular, read_at_most, reason
from runtime.image import ImageContract
from runtime.origin import raised_by
from runtime.text import one_line

from ..data.features import UNSTATED
from ..errors import ConfigError, DataError
from .asked import Asked, square_side
from .cutting import PREFIX, all_nodes, is_utf8, keep_only, prefix
from .graph import FEATURES, IMAGES, OPSET, Graph, checked_size, finished, opened

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 2**31 - 1  # protobuf's own limit
DOMAINS = ("", "ai.onnx")
AXES = {"NHWC": (1, 2, 3), "NCHW": (2, 3, 1)}  # of height, width and channels
SHOWN = 8  # names in a message
Shape: TypeAlias = tuple[int, int, int]


class Pixels(NamedTuple):
    """What a network takes: uint8 images, or (pixel − mean) / scale in float32.

    layout: "NCHW" or "NHWC".
    mean, scale: one number a channel, or one for all, for pixels 0-255; None for uint8.
    """

    layout: str | None = None
    mean: Sequence[float] | None = None
    scale: Sequence[float] | None = None


NOTHING = Pixels()


def graph(asked: Asked) -> Graph:
    """Make the features graph for the images of a data set, as `build` does. Raises ConfigError for other images."""
    path, settings = Path(asked.name), asked.settings.only(asked.name, "output", "layout", "mean", "scale")
    pixels = Pixels(settings.layout, settings.mean, settings.scale)
    found = build(path, output=settings.output, image_size=square_side(asked), pixels=pixels)
    if found.about["image"][2] != asked.image.channels:
        color = "L" if found.about["image"][2] == 1 else "RGB"
        raise ConfigError(f"{path.name}: expected {color} images, found {asked.image.color}: use --color {color}")
    return found._replace(about={**found.about, "own": True})


def build(path: Path, *, output: str | None = None, image_size: int | None = None, pixels: Pixels = NOTHING) -> Graph:
    """Make a features graph of an ONNX file.

    path: the file, of opset 13 or newer, with one input: uint8 [N, H, W, C], or float32 [N, H, W, C] or [N, C, H, W].
    output: the value to take, float32 [N, D], [N, D, 1, 1] or [N, 1, 1, D]; may be left out where the file has one
        output.
    image_size: height and width; may be left out where the file has them.
    pixels: all three, for an input of float32, of which nothing is assumed; none for uint8.
    A batch size of 1 becomes free, if the graph gives for several images what it gives for each alone.
    Raises DataError for files, and ConfigError for settings that are missing or do not fit.
    """
    name = path.name
    data, model = _read(path)
    source, wanted = _input(model, name), _output(model, output, name)
    layout, mean, scale = _said(source, pixels, name)
    shape = _shape(source, layout or "", image_size, name)
    said = Pixels(layout, _channels(mean, shape[2], name), _channels(scale, shape[2], name))
    first, last = PREFIX + source.name, PREFIX + wanted
    keep_only(model.graph, wanted)
    prefix(model.graph)
    _begin(model.graph, first, shape, said)
    graph = _end(model, last, shape, name)
    weights = {"digest": digest(data), "licence": UNSTATED, "source": name}
    about = {"weights": weights, "image": list(shape), "output": wanted, **said._asdict()}
    return Graph(graph, checked_size(graph, shape, name), about)


def _read(path: Path) -> tuple[bytes, onnx.ModelProto]:
    """Read a file and check that it stands alone, with ONNX's own operators."""
    with needs_extra("train", "features of an ONNX file"):
        import onnx
    try:
        data = read_at_most(path, check_regular(path, "an ONNX file", DataError, limit=2 * 2**30), MAX_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected an ONNX file, found none ({reason(error)}): name another") from None
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        if not raised_by(error, "google"):
            raise
        raise DataError(
            f"{path.name}: expected an ONNX file, found other content ({one_line(error)}): export it again"
        ) from None
    if has_external_data(data):
        raise DataError(
            f"{path.name}: expected all weights in the file, found some in other files: save it as one file, with "
            "onnx.save(onnx.load(path), other)"
        )
    if not is_utf8(model):
        raise DataError(f"{path.name}: expected names in UTF-8, found other bytes: export it again")
    domains = {node.domain for node in all_nodes(model.graph)} - set(DOMAINS)
    if domains or model.functions:
        raise DataError(
            f"{path.name}: expected the operators of ONNX alone, found {', '.join(sorted(domains)) or 'functions'}: "
            "export it without those of another library, or inline them with onnx.inliner"
        )
    opset = max((item.version for item in model.opset_import if item.domain in DOMAINS), default=0)
    if opset < OPSET:
        raise DataError(
            f"{path.name}: expected opset {OPSET} or newer, found {opset}: "
            f"convert it with onnx.version_converter.convert_version(model, {OPSET})"
        )
    model.ClearField("training_info")
    return data, model


def _input(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise DataError(f"{name}: expected one input, the images, found {names}: export it with that alone")
    sides = inputs[0].type.tensor_type.shape.dim
    if len(sides) != 4:
        raise DataError(
            f"{name}: expected an input [N, H, W, C] or [N, C, H, W], found {_sides(inputs[0])}: export it so"
        )
    if sides[0].HasField("dim_value") and sides[0].dim_value != 1:
        raise DataError(
            f"{name}: expected a free batch size, found {sides[0].dim_value}: export it with a dynamic first axis"
        )
    found: onnx.ValueInfoProto = inputs[0]
    return found


def _output(model: onnx.ModelProto, wanted: str | None, name: str) -> str:
    """Return the name of the value to take."""
    outputs = [value.name for value in model.graph.output]
    if wanted is None and len(outputs) == 1:
        return str(outputs[0])
    inside = [value for node in model.graph.node for value in node.output if value and value not in outputs]
    if wanted is None or wanted not in (*outputs, *inside):
        found = "none named" if wanted is None else repr(wanted)
        raise ConfigError(
            f"{name}: expected --features-output, one of its outputs, {', '.join(outputs)}, or of the values inside, "
            f"the last of which are {', '.join(inside[-SHOWN:])}, found {found}: name one"
        )
    return wanted


def _said(source: onnx.ValueInfoProto, pixels: Pixels, name: str) -> Pixels:
    """Return what the network takes; nothing may be said of uint8, and all has to be of float32."""
    from onnx import TensorProto

    kind = source.type.tensor_type.elem_type
    if kind == TensorProto.UINT8:
        if pixels != NOTHING:
            raise ConfigError(
                f"{name}: expected no layout, mean or scale, as its input {source.name} is uint8, found some: leave "
                "them out, or export it with an input of float32"
            )
        return Pixels("NHWC")
    if kind != TensorProto.FLOAT:
        known = kind in TensorProto.DataType.values()
        found = TensorProto.DataType.Name(kind).lower() if known else f"type {kind}"
        raise DataError(f"{name}: expected an input of uint8 or float32, found {found}: export it so")
    if pixels.layout not in AXES or pixels.mean is None or pixels.scale is None:
        raise ConfigError(
            f"{name}: expected layout, NCHW or NHWC, mean and scale of the pixels 0-255, as its input {source.name} is "
            f"float32, found {pixels.layout}, {pixels.mean} and {pixels.scale}: give what it was trained with"
        )
    return pixels


def _shape(source: onnx.ValueInfoProto, layout: str, image_size: int | None, name: str) -> tuple[int, int, int]:
    """Return the images' [H, W, C]: the file's where it has them, else `image_size` and 3."""
    sides = [source.type.tensor_type.shape.dim[axis] for axis in AXES[layout]]
    height, width, channels = (side.dim_value if side.HasField("dim_value") else None for side in sides)
    if channels not in (None, 1, 3):
        raise DataError(
            f"{name}: expected {layout} images of 1 or 3 channels, found {_sides(source)}: say the other layout, or "
            "export it so"
        )
    found = [image_size if side is None else side for side in (height, width)]
    if None in found:
        raise ConfigError(f"{name}: expected --image-size, as it takes images of any size, found none: give one")
    if image_size is not None and found != [image_size, image_size]:
        raise ConfigError(
            f"{name}: expected images of the size that it takes, {_sides(source)}, found --image-size {image_size}: "
            "leave it out, or give that size"
        )
    color = {1: "L", 3: "RGB"}[channels or 3]
    try:
        return ImageContract(height=found[0] or 0, width=found[1] or 0, color=color).shape
    except InputError as error:
        raise DataError(f"{name}: {error}") from None


def _channels(values: Sequence[float] | None, channels: int, name: str) -> list[float] | None:
    """Return mean or scale, one number a channel; None for None."""
    if values is None:
        return None
    if len(values) not in (1, channels) or not all(map(isfinite, values)):
        raise ConfigError(
            f"{name}: expected mean and scale of 1 or {channels} finite numbers, found {list(values)}: give these"
        )
    return [float(value) for value in values] * (channels // len(values))


def _sides(value: onnx.ValueInfoProto) -> str:
    sides = value.type.tensor_type.shape.dim
    return (
        f"[{', '.join(str(side.dim_value) if side.HasField('dim_value') else side.dim_param or '?' for side in sides)}]"
    )


def _begin(graph: onnx.GraphProto, source: str, shape: Shape, pixels: Pixels) -> None:
    """Put before a graph, whose input is `source`, what makes its input of raw pixels; that has a free batch size."""
    from onnx import TensorProto, helper, numpy_helper

    steps: list[tuple[str, dict[str, Any]]] = []
    if pixels.layout == "NCHW":
        steps.append(("Transpose", {"perm": [0, 3, 1, 2]}))
    if pixels.mean is not None:
        steps += [("Cast", {"to": TensorProto.FLOAT}), ("Sub", {}), ("Div", {})]
    constants = {"Sub": pixels.mean, "Div": pixels.scale}
    nodes, value = [], IMAGES
    for kind, attributes in steps or [("Identity", {})]:
        inputs = [value]
        if kind in constants:
            values = np.array(constants[kind], np.float32)
            spread = values[:, None, None] if pixels.layout == "NCHW" else values
            graph.initializer.append(numpy_helper.from_array(spread, f"{kind.lower()}.by"))
            inputs.append(f"{kind.lower()}.by")
        value = f"pixels.{kind.lower()}"
        nodes.append(helper.make_node(kind, inputs, [value], **attributes))
    nodes[-1].output[0] = source
    nodes += graph.node
    for field in ("node", "input"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", *shape]))


def _end(model: onnx.ModelProto, wanted: str, shape: Shape, name: str) -> bytes:
    """Flatten the value `wanted` to features [N, D], and return the file. Raises DataError for one of another shape."""
    from onnx import TensorProto, helper

    graph = model.graph
    node = helper.make_node("Identity", [wanted], [FEATURES])
    graph.node.append(node)
    graph.ClearField("output")
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, None))
    found = list(opened(model.SerializeToString(), name)(np.zeros((2, *shape), np.uint8)).shape)
    if found[:1] != [2] or len(found) not in (2, 4) or sorted(found[1:])[:-1] not in ([], [1, 1]):
        raise DataError(
            f"{name}: expected an output [N, D], [N, D, 1, 1] or [N, 1, 1, D], found {found} for 2 images at "
            f"{wanted.removeprefix(PREFIX)}: name another with --features-output, or pool it"
        )
    graph.node.pop()
    graph.node.append(helper.make_node("Flatten", [wanted], [FEATURES], axis=1))
    graph.ClearField("output")
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", max(found[1:])]))
    return finished(model, name)
