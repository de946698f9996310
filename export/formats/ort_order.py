"""The one table of a file in onnxruntime's format that onnxruntime lays out by chance, in a fixed order.

The file is an InferenceSession: a version, the model, and the table of kernel types, which holds the type parameters of
each operator's kernel and where each type is read from. The fields go by the names of
onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from flatbuffers import Builder
from flatbuffers.number_types import SOffsetTFlags

from runtime.session import onnxruntime

IDENTIFIER = b"ORTM"
LARGEST_ALIGNMENT = 16


def in_order(data: bytes) -> bytes:
    """Write a file anew with its table of kernel types sorted; everything else stays as it is, byte for byte."""
    schema = _schema()
    session = schema.InferenceSession.InferenceSession.GetRootAsInferenceSession(data, 0)
    model = session.Model()._tab  # the classes tell a position in no other way
    tail = data[min(model.Pos, model.Pos - model.Get(SOffsetTFlags, model.Pos)) :]  # from the model or its vtable on
    builder = Builder(len(data))  # fills memory from its end
    builder.Prep(LARGEST_ALIGNMENT, 0)
    builder.Pad(len(tail))
    kernel_types = _kernel_types(builder, session.KernelTypeStrResolver())
    version = builder.CreateString(session.OrtVersion())
    root = _table(
        builder,
        schema.InferenceSession,
        OrtVersion=version,
        Model=len(data) - model.Pos,
        KernelTypeStrResolver=kernel_types,
    )
    builder.Finish(root, file_identifier=IDENTIFIER)
    return bytes(builder.Output()[: -len(tail)]) + tail


def _kernel_types(builder: Builder, resolver: Any) -> int:
    """Write the table of kernel types, by the names of the operators and of their type parameters."""
    schema, operators = _schema(), []
    for operator in sorted(_all(resolver, "OpKernelTypeStrArgs"), key=lambda item: item.OpId()):
        parameters = []
        for parameter in sorted(_all(operator, "KernelTypeStrArgs"), key=lambda item: item.KernelTypeStr()):
            places = [
                _table(builder, schema.ArgTypeAndIndex, ArgType=place.ArgType(), Index=place.Index())
                for place in _all(parameter, "Args")
            ]
            args, name = _vector(builder, places), builder.CreateString(parameter.KernelTypeStr())
            parameters.append(_table(builder, schema.KernelTypeStrArgsEntry, KernelTypeStr=name, Args=args))
        entries, name = _vector(builder, parameters), builder.CreateString(operator.OpId())
        operators.append(_table(builder, schema.OpIdKernelTypeStrArgsEntry, OpId=name, KernelTypeStrArgs=entries))
    return _table(builder, schema.KernelTypeStrResolver, OpKernelTypeStrArgs=_vector(builder, operators))


def _all(table: Any, field: str) -> list[Any]:
    """Read the tables of a field that is a vector."""
    return [getattr(table, field)(i) for i in range(getattr(table, f"{field}Length")())]


def _table(builder: Builder, kind: Any, **fields: int) -> int:
    """Write a table. kind: its module in the schema. fields: values and offsets, in the order in which they are put."""
    name = kind.__name__.rpartition(".")[2]
    getattr(kind, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(kind, f"{name}Add{field}")(builder, value)
    return int(getattr(kind, f"{name}End")(builder))


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


@cache
def _schema() -> Any:
    """Import the classes that onnxruntime ships for its format, by themselves: `onnxruntime.tools` imports torch."""
    folder = str(Path(onnxruntime().__file__).with_name("tools") / "ort_format_model")
    sys.path.append(folder)
    try:
        return import_module("ort_flatbuffers_py.fbs")
    finally:
        sys.path.remove(folder)
