"""Writes a graph of LiteRT's operators as a flatbuffer, with the classes that `ai-edge-litert` has of its schema."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

IDENTIFIER, SCHEMA = b"TFL3", 3
SIGNATURE = "serving_default"
ALIGNMENT = 16  # bytes, of every buffer
TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "uint8": schema.TensorType.UINT8,
         "int8": schema.TensorType.INT8}  # fmt: skip


class Operator(NamedTuple):
    """The oldest version of an operator that does what is needed.

    since: the TensorFlow Lite that has it.
    options: None for none.
    """

    version: int
    since: tuple[int, int, int]
    options: Any = None


OPERATORS = {
    "ADD": Operator(1, (1, 5, 0), schema.AddOptionsT()),
    "CAST": Operator(1, (1, 5, 0)),
    "DEQUANTIZE": Operator(2, (1, 14, 0), schema.DequantizeOptionsT()),
    "FULLY_CONNECTED": Operator(1, (1, 5, 0), schema.FullyConnectedOptionsT()),
    "MUL": Operator(1, (1, 5, 0), schema.MulOptionsT()),
    "REDUCE_MAX": Operator(1, (1, 11, 0), schema.ReducerOptionsT(keepDims=True)),
    "RESHAPE": Operator(1, (1, 5, 0), schema.ReshapeOptionsT()),
    "SLICE": Operator(1, (1, 14, 0), schema.SliceOptionsT()),
    "SOFTMAX": Operator(1, (1, 5, 0), schema.SoftmaxOptionsT(beta=1.0)),
    "SUB": Operator(1, (1, 6, 0), schema.SubOptionsT()),
}


class Graph:
    """Tensors, and operators in the order of their computation.

    A tensor is known by its number. The first axis of all but constants is N, the number of images.
    """

    def __init__(self) -> None:
        self._buffers: list[Any] = [_Buffer()]  # the first one is empty, of all that is computed
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._names: list[str] = []  # of operators, each once

    def input(self, name: str, kind: str, shape: Sequence[int]) -> int:
        """Add a tensor [N, …] of a type of TYPES without a value; `shape` is that of one image."""
        return self._tensor(name, kind, [1, *shape], shapeSignature=[-1, *shape])

    def constant(self, name: str, value: NDArray[np.generic], scale: float | None = None) -> int:
        """Add a constant.

        scale: what 1 stands for in the integers that DEQUANTIZE takes; None for other constants.
        """
        about = None if scale is None else schema.QuantizationParametersT(scale=[scale], zeroPoint=[0])
        buffer = self._buffer(value.astype(value.dtype.newbyteorder("<")).tobytes())
        return self._tensor(name, str(value.dtype), list(value.shape), buffer=buffer, quantization=about)

    def dequantised(self, name: str, integers: NDArray[np.int8]) -> int:
        """Add a constant that is int8 in the file, and float32 once it is loaded."""
        source = self.constant(f"int8_{name}", integers, scale=1.0)
        return self._compute("DEQUANTIZE", [source], self._tensor(name, "float32", list(integers.shape)))

    def add(self, operator: str, inputs: Sequence[int], name: str, shape: Sequence[int], kind: str = "float32") -> int:
        """Add an operator of OPERATORS and return its result.

        inputs: its tensors; -1 for one that is left out.
        shape: the result's, for one image.
        """
        return self._compute(operator, inputs, self.input(name, kind, shape))

    def to_bytes(self, name: str, source: int, result: int, metadata: Mapping[str, bytes]) -> bytes:
        """Write a model of one graph; equal graphs give equal bytes.

        source, result: the tensors that go in and come out.
        metadata: what goes with it, by name.
        """
        oldest = ".".join(map(str, max(OPERATORS[name].since for name in self._names)))
        entries = {**metadata, "min_runtime_version": oldest.encode().ljust(16, b"\0")}
        signature = schema.SignatureDefT(
            inputs=[self._named(source)], outputs=[self._named(result)], signatureKey=SIGNATURE
        )
        graph = schema.SubGraphT(
            tensors=self._tensors, inputs=[source], outputs=[result], operators=self._operators, name=name
        )
        model = schema.ModelT(
            version=SCHEMA,
            operatorCodes=list(map(_code, self._names)),
            subgraphs=[graph],
            description="softmax-kit",
            metadata=[schema.MetadataT(name=key, buffer=self._buffer(value)) for key, value in entries.items()],
            buffers=self._buffers,
            signatureDefs=[signature],
        )
        builder = flatbuffers.Builder(sum(buffer.size for buffer in self._buffers) + 2**14)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _compute(self, operator: str, inputs: Sequence[int], result: int) -> int:
        if operator not in self._names:
            self._names.append(operator)
        options = OPERATORS[operator].options
        kind = type(options).__name__.removesuffix("T") if options else "NONE"
        self._operators.append(
            schema.OperatorT(
                opcodeIndex=self._names.index(operator),
                inputs=list(inputs),
                outputs=[result],
                builtinOptionsType=getattr(schema.BuiltinOptions, kind),
                builtinOptions=options,
            )
        )
        return result

    def _tensor(self, name: str, kind: str, shape: list[int], **more: Any) -> int:
        self._tensors.append(schema.TensorT(name=name, type=TYPES[kind], shape=shape, **more))
        return len(self._tensors) - 1

    def _named(self, tensor: int) -> Any:
        return schema.TensorMapT(name=self._tensors[tensor].name, tensorIndex=tensor)

    def _buffer(self, data: bytes) -> int:
        self._buffers.append(_Buffer(data))
        return len(self._buffers) - 1


def _code(name: str) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=OPERATORS[name].version)


class _Buffer:
    """A buffer that is aligned as the schema asks, which the generated classes do not see to."""

    def __init__(self, data: bytes = b"") -> None:
        self.data, self.size = data, len(data) + ALIGNMENT

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - what the generated classes call
        """Write it, and return its offset."""
        if self.data:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.data:
            schema.BufferAddData(builder, data)
        offset: int = schema.BufferEnd(builder)
        return offset
