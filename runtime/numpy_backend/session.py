"""Runs an ONNX graph with numpy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artefact import FAMILIARITY, INPUT, OUTPUT, Metadata
from ..origin import raised_by
from .operators import OPERATORS, Step
from .protobuf import Array, Model, Node, read_model, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..image import Pixels

NUMPY = "numpy"
AT_ONCE, NUMBERS_AT_ONCE = 256, 2**20  # images, and numbers of the largest array
MOST_PLANS = 4  # of a thread: for one image, for many, and for what remains of them


class NumpySession:
    """A graph, ready to run. Safe to share between threads and to fork with.

    model: the content of an .onnx file.
    Raises ArtefactError where it is damaged.
    """

    backend: str = NUMPY
    library: str = NUMPY

    def __init__(self, model: bytes) -> None:
        found = self._model = read_model(model)
        self.version: str = np.__version__
        self.providers: Sequence[str] = ()
        self.props: Mapping[str, str] = found.props
        self.producer = found.producer
        self.inputs: Sequence[Any] = found.inputs
        self.outputs: Sequence[Any] = found.outputs
        self._plans = _Plans()

    def prepare(self, names: Sequence[str]) -> None:
        """Find what computes outputs. Raises ArtefactError where an operator is none of OPERATORS, or does not fit."""
        self._plan(1, names)

    def run(self, names: Sequence[str], pixels: Pixels) -> list[NDArray[np.float32]]:
        """Compute outputs for images uint8 [N, H, W, C], N ≥ 1, a few at a time."""
        step = min(len(pixels), self._at_once(names))
        found: list[Any] = [None] * len(names)
        for start in range(0, len(pixels), step):
            some = pixels[start : start + step]
            plan = self._plan(len(some), names)
            plan.run(some)
            for place, name in enumerate(names):
                part = plan.arrays[name]
                if found[place] is None:
                    found[place] = np.empty((len(pixels), *part.shape[1:]), part.dtype)
                found[place][start : start + len(some)] = part
        return found

    def bind(self, metadata: Metadata) -> tuple[Any, ...]:
        """Make buffers of one thread for one image, as `runtime.backend.Session` has it."""
        names = [OUTPUT, FAMILIARITY] if metadata.has_familiarity else [OUTPUT]
        plan = _Plan(self._model, 1, names)
        pixels = plan.arrays[INPUT]
        inputs = {pixels.shape[1:]: pixels[0]}
        if pixels.shape[3] == 1:
            inputs[pixels.shape[1:3]] = pixels[0, :, :, 0]
        familiarity = plan.arrays[FAMILIARITY] if metadata.has_familiarity else None
        return _run, plan.steps, inputs, plan.arrays[OUTPUT][0], familiarity

    def _at_once(self, names: Sequence[str]) -> int:
        """How many images are computed at a time."""
        return max(1, min(AT_ONCE, NUMBERS_AT_ONCE // self._plan(1, names).largest))

    def _plan(self, count: int, names: Sequence[str]) -> _Plan:
        """Return this thread's plan for a number of images."""
        key = (count, *names)
        found = self._plans.by_key.get(key)
        if found is None:
            if len(self._plans.by_key) >= MOST_PLANS:
                self._plans.by_key.clear()
            found = self._plans.by_key[key] = _Plan(self._model, count, names)
        return found


class _Plans(threading.local):
    """This thread's plans, by the number of images and the outputs."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[Any, ...], _Plan] = {}


class _Plan:
    """The calls that compute outputs for a number of images, and the arrays that they fill.

    Raises ArtefactError for a graph that does not fit together.
    """

    def __init__(self, model: Model, count: int, names: Sequence[str]) -> None:
        self.steps: list[Step] = []
        self.largest = 1  # numbers of an array
        try:
            (images,) = model.inputs
            shape = (count, *(side for side in images.shape[1:] if isinstance(side, int)))
            self.arrays: dict[str, Array] = {INPUT: np.zeros(shape, np.uint8)}
            with np.errstate(all="ignore"):  # of arrays that nothing has filled
                for node in _needed(model.nodes, names):
                    self._add(node, model.tensors)
            self.arrays = {name: self.arrays[name] for name in (INPUT, *names)}
            if any(array.shape[:1] != (count,) for array in self.arrays.values()):
                raise ValueError("an output that does not have a row for each image")
        except Exception as error:  # numpy raises many types
            if not raised_by(error, NUMPY):
                raise
            raise refusal(error) from error

    def run(self, pixels: Pixels) -> None:
        """Fill the arrays."""
        np.copyto(self.arrays[INPUT], pixels)
        _run(self.steps)

    def _add(self, node: Node, tensors: Mapping[str, Array]) -> None:
        """Append the calls of an operator; one of constants alone is computed at once."""
        if node.operator not in OPERATORS:
            raise refusal(f"the operator {node.operator}", "pip install onnxruntime, or export it again")
        names = [name for name in node.inputs if name]
        given = [None if not name else self.arrays.get(name, tensors.get(name)) for name in node.inputs]
        if absent := [name for name in names if name not in self.arrays and name not in tensors]:
            raise ValueError(f"{node.operator} of {absent[0]}, which nothing computes")
        found, steps = OPERATORS[node.operator](node, given)
        self.arrays.update(zip(node.outputs, found, strict=False))
        self.largest = max(self.largest, *(array.size for array in found))
        self.steps += steps


def _needed(nodes: Sequence[Node], names: Sequence[str]) -> list[Node]:
    """Return the operators that outputs are computed from, in their order."""
    wanted, found = set(names), []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            wanted |= set(node.inputs)
            found.append(node)
    return found[::-1]


def _run(steps: list[Step]) -> None:
    with np.errstate(all="ignore"):
        for step in steps:
            step()
