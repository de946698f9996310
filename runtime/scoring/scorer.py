"""Scores one chunk of images: a chunk in, a table of predictions out. The engines distribute the chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..batches import block_size
from ..classifier import Classifier
from ..data.parquet import Reader
from ..decided import accepted, prediction_sets
from ..decision import Decision
from ..errors import needs_extra
from ..image import read_images
from ..prediction import Predictor
from ..remarks import tally
from ..skew.first_images import LOOK_AT
from ..skew.measures import findings
from ..text import printable
from .inputs import Chunk, Files

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ..image import Encoded, Pixels


class Scored(NamedTuple):
    """The answers for a chunk.

    table: a row per image, with the columns of `schema`.
    notes: the input skew found, in the first chunk only.
    remarks: how many images there is something to say of, by kind, as `runtime.remarks.tally` counts them.
    """

    table: pa.Table
    notes: tuple[str, ...]
    remarks: Counter[str]


def schema(*, sets: bool = False) -> pa.Schema:
    """Return the columns of the predictions.

    path: of the image file or the Parquet file.
    row: in the Parquet file, from 0; null for an image file.
    label, index, probability: null where the image cannot be read.
    accepted, familiar: as in `Prediction`; null too where the artefact does not tell.
    set: labels, likeliest first; with `sets` alone.
    error: why the image cannot be read, or null.
    """
    with needs_extra("parquet", "writing predictions"):
        import pyarrow as pa
    types = {"path": pa.string(), "row": pa.int64(), "label": pa.string(), "index": pa.int32()}
    types |= {"probability": pa.float32(), "accepted": pa.bool_(), "familiar": pa.bool_()}
    return pa.schema(types | ({"set": pa.list_(pa.string())} if sets else {}) | {"error": pa.string()})


class Scorer:
    """Scores chunks of images with one classifier. Can be pickled; a chunk gets the same answers everywhere."""

    def __init__(self, classifier: Classifier, confidence: float | None = None) -> None:
        self._classifier, self._confidence = classifier, confidence
        decision = classifier.metadata.decision or Decision()
        self._least = None if confidence is None else Predictor(classifier.labels, decision).least(confidence)
        self._thresholds, self._familiarity = decision.thresholds, decision.familiarity
        self._contract = classifier.metadata.image
        self._reader = Reader()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the predictions."""
        return schema(sets=self._confidence is not None)

    @property
    def chunk_size(self) -> int:
        """How many images a chunk may have, so that its decoded images take a bounded part of the memory."""
        return block_size(self._contract)

    @property
    def shift(self) -> int:
        """Bits that 16-bit pixels are shifted by."""
        return self._contract.shift

    def score(self, numbered: tuple[int, Chunk]) -> Scored:
        """Classify the images of a chunk, and look for input skew in the first chunk.

        numbered: the chunk's number, from 0, and the chunk.
        An image that cannot be read has an error in its row. Raises InputError where its Parquet cannot be read.
        """
        number, chunk = numbered
        with needs_extra("parquet", "writing predictions"):
            import pyarrow as pa
        read = read_images(self._images(chunk), self._contract)
        found = [one for one, _ in read]
        pixels = [one for one in found if not isinstance(one, str)]
        errors = [printable(one) if isinstance(one, str) else None for one in found]
        table = pa.table(_places(chunk) | self._answers(pixels, errors) | {"error": errors}, schema=self.schema)
        looked_at = pixels[: LOOK_AT[-1]] if number == 0 else []
        odd = findings(np.stack(looked_at), self._classifier.metadata.pixel_statistics) if looked_at else []
        counts = tally((remarks for _, remarks in read), self._contract.shift)
        return Scored(table, tuple(finding.message for finding in odd), counts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the classifier; unpickling opens new files."""
        return Scorer, (self._classifier, self._confidence)

    def _images(self, chunk: Chunk) -> Iterator[Encoded]:
        if isinstance(chunk, Files):
            return (Path(chunk.folder, name) for name in chunk.names)
        return self._reader.images(chunk)

    def _answers(self, pixels: list[Pixels], errors: list[str | None]) -> dict[str, list[Any]]:
        """Classify the images that could be read; return columns of the table, with None for each error."""
        names = self.schema.names[2:-1]
        answers: Iterator[dict[str, Any]] = iter(self._rows(np.stack(pixels)) if pixels else ())
        rows: list[dict[str, Any]] = [{} if error else next(answers) for error in errors]
        return {name: [row.get(name) for row in rows] for name in names}

    def _rows(self, pixels: Pixels) -> Iterator[dict[str, Any]]:
        """Classify images [N, H, W, C]; yield the columns of each."""
        labels = self._classifier.labels
        probabilities, familiarity = self._classifier.with_familiarity(pixels)
        best, largest = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
        passed = accepted(probabilities, self._thresholds, labels).tolist() if self._thresholds else None
        found = self._familiarity
        known = None if found is None or familiarity is None else (familiarity >= found.threshold).tolist()
        for place, (index, probability) in enumerate(zip(best, largest, strict=True)):
            yield {
                "label": _utf8(labels[index]),
                "index": index,
                "probability": probability,
                "accepted": passed and passed[place],
                "familiar": known and known[place],
                "set": None if self._least is None else self._set(probabilities[place], self._least),
            }

    def _set(self, probabilities: NDArray[np.float32], least: float) -> list[str]:
        places = np.flatnonzero(prediction_sets(probabilities[None], least)[0])
        order = places[np.argsort(-probabilities[places], kind="stable")]
        return [_utf8(self._classifier.labels[place]) for place in order.tolist()]


def _places(chunk: Chunk) -> dict[str, list[Any]]:
    if isinstance(chunk, Files):
        return {"path": [_utf8(name) for name in chunk.names], "row": [None] * chunk.images}
    first = chunk.first + chunk.start
    return {"path": [_utf8(chunk.name)] * chunk.images, "row": list(range(first, first + chunk.images))}


def _utf8(text: str) -> str:
    """Escape the parts of a file's name that are not valid UTF-8, which Parquet refuses."""
    return text.encode("utf-8", "backslashreplace").decode()
