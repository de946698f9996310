"""The backend `litert`: runs a .tflite file. Only this imports ai-edge-litert."""

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

    The file is read here; LiteRT itself gets it once its seal has been checked.

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
        with needs_extra(LITERT, "running a .tflite file"):
            import ai_edge_litert
            from ai_edge_litert import interpreter, schema_py_generated
        self._litert, self._model, self._threads = interpreter, model, settings.threads
        self._mine = _Mine()
        self.version: str = ai_edge_litert.__version__
        self.providers: Sequence[str] = ()
        try:
            file = _File(schema_py_generated, model)
        except Exception as error:  # the generated classes raise what damage leads them to
            if not (raised_by(error, LIBRARY) or raised_by(error, "flatbuffers")):
                raise
            raise self._refused(error) from error
        self.props: Mapping[str, str] = file.props
        self.producer: str = file.producer
        self.inputs: Sequence[Any] = file.inputs
        self.outputs: Sequence[Any] = file.outputs

    def prepare(self, names: Sequence[str]) -> None:  # noqa: ARG002 - there is one output
        """Let LiteRT open the graph. Raises ArtefactError where it refuses it."""
        try:
            self._interpreter(1)
        except Exception as error:  # LiteRT's own errors share no base class
            if not raised_by(error, LIBRARY):
                raise
            raise self._refused(error) from error

    def run(self, names: Sequence[str], pixels: Pixels) -> list[NDArray[np.float32]]:
        """Compute the probabilities of images uint8 [N, H, W, C], N ≥ 1, some at a time."""
        step = max(1, NUMBERS_AT_ONCE // pixels[0].size)
        parts = [self._answer(pixels[at : at + step]) for at in range(0, len(pixels), step)]
        return [np.concatenate(parts) if len(parts) > 1 else parts[0]] * len(names)

    def bind(self, metadata: Metadata) -> tuple[Any, ...]:
        """Make buffers of one thread for one image."""
        interpreter, (height, width, channels) = self._interpreter(1), metadata.image.shape
        source, result = _numbers(interpreter)
        pixels = np.zeros((1, height, width, channels), np.uint8)
        row = np.zeros((1, len(metadata.labels)), np.float32)
        inputs = {pixels.shape[1:]: pixels[0]} | ({(height, width): pixels[0, :, :, 0]} if channels == 1 else {})

        def run(interpreter: Any) -> None:
            interpreter.set_tensor(source, pixels)
            interpreter.invoke()
            row[...] = interpreter.get_tensor(result)

        return run, interpreter, inputs, row[0], None

    def _answer(self, pixels: Pixels) -> NDArray[np.float32]:
        interpreter = self._interpreter(len(pixels))
        source, result = _numbers(interpreter)
        interpreter.set_tensor(source, pixels)
        interpreter.invoke()
        found: NDArray[np.float32] = interpreter.get_tensor(result)
        return found

    def _interpreter(self, count: int) -> Any:
        """Return this thread's interpreter for one image, or for many, ready for this number of them.

        It has no delegates, of which the default one prints a line and starts threads.
        """
        found = self._mine.by_kind.get(count == 1)
        if found is None:
            check_seal(self._model)
            resolver = self._litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            found = self._litert.Interpreter(
                model_content=self._model, num_threads=self._threads, experimental_op_resolver_type=resolver
            )
            remember(found)
            found.allocate_tensors()
            self._mine.by_kind[count == 1] = found
        (source,) = found.get_input_details()
        if source["shape"][0] != count:
            found.resize_tensor_input(source["index"], [count, *source["shape"][1:]])
            found.allocate_tensors()
        return found

    def _refused(self, error: Exception) -> ArtefactError:
        return ArtefactError(
            f"expected a .tflite file that LiteRT {self.version} loads, found one that it refuses "
            f"({one_line(error)}): export it again"
        )


class _Mine(threading.local):
    """This thread's interpreters, by whether they are for one image; one of many is of the last number of them."""

    def __init__(self) -> None:
        self.by_kind: dict[bool, Any] = {}


class _File:
    """What Python reads of a .tflite file, damaged or not. Raises ArtefactError and what damage leads to.

    schema: the module of the flatbuffer's classes.
    """

    def __init__(self, schema: Any, model: bytes) -> None:
        root = schema.Model.GetRootAs(model)
        known = {getattr(schema.BuiltinOperator, name) for name in OPERATORS}
        codes = [root.OperatorCodes(place) for place in range(root.OperatorCodesLength())]
        if others := {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes} - known:
            raise ArtefactError(
                f"expected operators out of {', '.join(OPERATORS)}, found LiteRT's number {min(others)}: export again"
            )
        if root.SubgraphsLength() != 1:
            raise ArtefactError(f"expected one graph, found {root.SubgraphsLength()}: export it again")
        graph = root.Subgraphs(0)
        self.inputs = [_value(schema, graph.Tensors(number)) for number in graph.InputsAsNumpy()]
        self.outputs = [_value(schema, graph.Tensors(number)) for number in graph.OutputsAsNumpy()]
        self.producer = (root.Description() or b"").decode(errors="replace")
        self.props = _props(root)


def _props(root: Any) -> dict[str, str]:
    """Return the metadata, as `from_props` reads it."""
    entries = [root.Metadata(place) for place in range(root.MetadataLength())]
    buffers = [entry.Buffer() for entry in entries if entry.Name() == EXTRA_FILE.encode()]
    if len(buffers) != 1:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, with one {EXTRA_FILE}, found {len(buffers)}: export it again"
        )
    text = bytes(root.Buffers(buffers[0]).DataAsNumpy())
    try:
        return {PREFIX + name: dumps(value) for name, value in json.loads(text).items()}
    except (AttributeError, RecursionError, ValueError) as error:
        if not raised_by(error):
            raise
        raise ArtefactError(f"{EXTRA_FILE}: expected a JSON object, found {text[:40]!r}: export it again") from None


def _value(schema: Any, tensor: Any) -> Value:
    """Describe an input or output; the free first axis has no number."""
    names = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    sides = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
    shape = tuple("N" if place == 0 and side == -1 else int(side) for place, side in enumerate(sides))
    return Value((tensor.Name() or b"").decode(errors="replace"), f"tensor({names.get(tensor.Type())})", shape)


def _numbers(interpreter: Any) -> tuple[int, int]:
    """Return the numbers of the tensors that go in and come out."""
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    return source["index"], result["index"]
