"""Models in 8 bits with made-up numbers, of any shape, as C and as onnx-int8."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import runtime
from export.arithmetic.quantise import Quantised
from export.c.source import int8_answers
from export.formats import c, onnx_int8
from export.formats.compatibility import Target
from runtime.artefact import Metadata
from runtime.c.model import CompiledModel
from runtime.decision import Decision
from runtime.golden import Golden
from runtime.image import ImageContract, Pixels


class Made(NamedTuple):
    """numbers and metadata: of the model."""

    numbers: Quantised
    metadata: Metadata

    def folder(self, place: Path, name: str = "made", frame: tuple[int, int] | None = None) -> Path:
        """Write it in C, without a gate."""
        place.mkdir(parents=True, exist_ok=True)
        for file, content in c.write(self.numbers, self.metadata, Target(name=name, frame=frame)).items():
            (place / file).write_bytes(content)
        return place

    def compiled(self, place: Path, target: str = "host", **settings: bool) -> CompiledModel:
        return CompiledModel(self.folder(place), target, **settings)

    def in_8_bits(self, images: Pixels) -> NDArray[np.float32]:
        """What the onnx-int8 artefact answers."""
        return runtime.load(onnx_int8.write(self.numbers, self.metadata, Target())).probabilities(images)

    def images(self, count: int, seed: int = 1) -> Pixels:
        """Random ones, half of their pixels black."""
        generator = np.random.default_rng(seed)
        shape = (count, *self.metadata.image.shape)
        images: Pixels = generator.integers(0, 256, shape, np.uint8)
        images[generator.random(shape) < 0.5] = 0
        return images


def made(
    classes: int,
    image: ImageContract,
    *,
    labels: tuple[str, ...] = (),
    decision: Decision | None = None,
    centred: bool = False,
    spread: float = 3.0,
) -> Made:
    """Make a model whose logits deviate by `spread`."""
    generator = np.random.default_rng(0)
    count = image.height * image.width * image.channels
    scale = np.full(classes, spread / (74 * 100 * np.sqrt(count)), np.float32)
    if not centred:
        scale *= generator.uniform(0.5, 2, classes).astype(np.float32)
    numbers = Quantised(
        weights=generator.integers(1, 256, (count, classes)).astype(np.uint8),
        scale=scale,
        bias=generator.normal(0, 1, classes).astype(np.float32),
        centre=generator.integers(0, 256, image.shape).astype(np.uint8) if centred else None,
    )
    golden = generator.integers(0, 256, (4, *image.shape), np.uint8)
    metadata = Metadata(
        labels=labels or tuple(f"label {place}" for place in range(classes)),
        image=image,
        pixel_statistics=None,
        golden=Golden(golden, int8_answers(numbers, golden).astype(np.float32), 0.05),
        provenance={"data": {"name": "made"}},
        decision=decision,
        centre=numbers.centre,
    )
    return Made(numbers, metadata)
