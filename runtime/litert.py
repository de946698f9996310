"""Runs a .tflite file with LiteRT. Only this imports ai-edge-litert."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .artefact import EXTRA_FILE, Metadata, dumps
from .entries import PREFIX
from .errors import ArtefactError, needs_extra
from .numpy_backend.protobuf import Value
from .origin import raised_by
from .seal import LITERT, check_seal
from .session import AUTO, CPU, Settings, remember
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .image import Pixels

LIBRARY = "ai_edge_litert"
NUMBERS_AT_ONCE = 2**20  # pixels that are float32 at a time
OPERATORS = ("ADD", "CAST", "DEQUANTIZE", "FULLY_CONNECTED", "MUL", "REDUCE_MAX", "RESHAPE", "SLICE", "SOFTMAX", "SUB")


class LiteRtSession:
    """A graph that LiteRT runs, as `runtime.backend.Session` has it. Safe to share between threads.

    model: the content of a .tflite file.
    settings: of which LiteRT has the threads.
    Raises ArtefactError where it is damaged, or not one that `kit export` wrote, and MissingExtraError.
    """

    backend: str = LITERT
    library: str = LIBRARY

    def __init__(self, model: bytes, settings: Settings) -> None:
        if settings.providers != (CPU,) or settings.spinning or settings.backend not in (AUTO, LITERT):
            raise ArtefactError(
                "expected no backend, providers or spinning for a .tflite file, which LiteRT runs, found some: leave "
                "them out, or export with --format onnx"
            )
        check_seal(model)
        with needs_extra(LITERT, "running a .tflite file"):
            import ai_edge_litert
            from ai_edge_litert import interpreter, schema_py_generated
        self._litert, self._model, self._threads = interpreter, model, settings.threads
        self._mine = _Mine()
        self.version: str = ai_edge_litert.__version__
        self.providers: Sequence[str] = ()
        self.props: Mapping[str, str] = {}
        self.producer = ""
        try:
            self.props, self.producer = _read(schema_py_generated, model)
            found = self._interpreter(1)
            self.inputs: Sequence[Any] = list(map(_value, found.get_input_details()))
            self.outputs: Sequence[Any] = list(map(_value, found.get_output_details()))
        except Exception as error:  # the generated classes raise what damage leads them to
            if not (raised_by(error, LIBRARY) or raised_by(error, "flatbuffers")):
                raise
            raise ArtefactError(
                f"expected a .tflite file that LiteRT {self.version} loads, found one that it refuses "
                f"({one_line(error)}): export it again"
            ) from error

    def prepare(self, names: Sequence[str]) -> None:
        """Do nothing: the graph has one output, and is ready."""

    def run(self, names: Sequence[str], pixels: Pixels) -> list[NDArray[np.float32]]:
        """Compute the probabilities of images uint8 [N, H, W, C], N ≥ 1, some at a time."""
        step = max(1, NUMBERS_AT_ONCE // max(1, pixels[0].size))
        parts = [self._answer(pixels[at : at + step]) for at in range(0, len(pixels), step)]
        return [np.concatenate(parts) if len(parts) > 1 else parts[0]] * len(names)

    def bind(self, metadata: Metadata) -> tuple[Any, ...]:
        """Make buffers of one thread for one image."""
        interpreter, (height, width, channels) = self._interpreter(1), metadata.image.shape
        (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        pixels = np.zeros((1, height, width, channels), np.uint8)
        row = np.zeros((1, len(metadata.labels)), np.float32)
        inputs = {pixels.shape[1:]: pixels[0]} | ({(height, width): pixels[0, :, :, 0]} if channels == 1 else {})

        def run(interpreter: Any) -> None:
            interpreter.set_tensor(source["index"], pixels)
            interpreter.invoke()
            row[...] = interpreter.get_tensor(result["index"])

        return run, interpreter, inputs, row[0], None

    def _answer(self, pixels: Pixels) -> NDArray[np.float32]:
        interpreter = self._interpreter(len(pixels))
        (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.set_tensor(source["index"], pixels)
        interpreter.invoke()
        found: NDArray[np.float32] = interpreter.get_tensor(result["index"])
        return found

    def _interpreter(self, count: int) -> Any:
        """Return this thread's interpreter for one image, or for many, ready for this number of them.

        It has no delegates, of which the default one prints a line and starts threads.
        """
        found = self._mine.by_kind.get(count == 1)
        if found is None:
            resolver = self._litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            found = self._litert.Interpreter(
                model_content=self._model, num_threads=self._threads, experimental_op_resolver_type=resolver
            )
            found.allocate_tensors()
            remember(found)
            self._mine.by_kind[count == 1] = found
        for source in found.get_input_details():
            if source["shape"][:1].tolist() != [count]:
                found.resize_tensor_input(source["index"], [count, *source["shape"][1:]])
                found.allocate_tensors()
        return found


class _Mine(threading.local):
    """This thread's interpreters, by whether they are for one image; one of many is of the last number of them."""

    def __init__(self) -> None:
        self.by_kind: dict[bool, Any] = {}


def _read(schema: Any, model: bytes) -> tuple[dict[str, str], str]:
    """Return the metadata, as `from_props` reads it, and the producer. Raises what damage leads to, too."""
    root = schema.Model.GetRootAs(model)
    codes = [root.OperatorCodes(place) for place in range(root.OperatorCodesLength())]
    known = {getattr(schema.BuiltinOperator, name) for name in OPERATORS}
    if others := {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes} - known:
        raise ArtefactError(
            f"expected operators out of {', '.join(OPERATORS)}, found LiteRT's number {min(others)}: export it again"
        )
    entries = [root.Metadata(place) for place in range(root.MetadataLength())]
    buffers = [entry.Buffer() for entry in entries if entry.Name() == EXTRA_FILE.encode()]
    if len(buffers) != 1:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, with one {EXTRA_FILE}, found {len(buffers)}: export it again"
        )
    text = bytes(root.Buffers(buffers[0]).DataAsNumpy())
    try:
        props = {PREFIX + name: dumps(value) for name, value in json.loads(text).items()}
    except (AttributeError, RecursionError, ValueError) as error:
        if not raised_by(error):
            raise
        raise ArtefactError(f"{EXTRA_FILE}: expected a JSON object, found {text[:40]!r}: export it again") from None
    return props, (root.Description() or b"").decode(errors="replace")


def _value(details: Mapping[str, Any]) -> Value:
    """Describe an input or output; the free first axis has no number."""
    sides = [int(side) for side in details["shape_signature"]]
    shape = tuple("N" if place == 0 and side == -1 else side for place, side in enumerate(sides))
    return Value(str(details["name"]), f"tensor({np.dtype(details['dtype'])})", shape)
