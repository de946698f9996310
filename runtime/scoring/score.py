"""Scoring many images: finds them, lets an engine score them in chunks, and writes the predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..errors import ScoringError
from ..files import FilePath
from ..loading import load
from ..remarks import messages
from ..session import AUTO
from .inputs import Chunk, find_chunks, place
from .local import local
from .on_ray import on_ray
from .output import check_output, writing
from .scorer import Scored, Scorer

if TYPE_CHECKING:
    import pyarrow as pa

Engine: TypeAlias = Callable[[Scorer, Sequence[Chunk], int | None], Generator[Scored, None, None]]
Progress: TypeAlias = Callable[[int, int], None]

ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}
NAMED_ERRORS = 3


class Summary(NamedTuple):
    """What was scored.

    images, errors: how many images, and how many of them cannot be read.
    named: the first NAMED_ERRORS errors, each after its image's name.
    notes: the input skew found in the first images, and what is to be said of images that were read.
    """

    images: int
    errors: int
    named: list[str]
    notes: list[str]


def score_all(
    model: FilePath,
    inputs: Iterable[str],
    output: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    column: str | None = None,
    confidence: float | None = None,
    backend: str = AUTO,
    progress: Progress,
) -> Summary:
    """Classify all images of the inputs and write the predictions to a new folder.

    model: the artefact's path.
    inputs, column: as in `find_chunks`.
    output: the folder.
    engine: a name in ENGINES.
    workers: how many processes or actors; None for one per core.
    confidence: of the prediction sets to write; None for none.
    backend: as in `load`.
    progress: called with the number of images scored so far, and of all images.
    Raises ArtefactError, InputError, ScoringError and MissingExtraError; then there is nothing at `output`.
    """
    check_output(output)
    scorer = Scorer(load(model, backend=backend), confidence)
    chunks = find_chunks(inputs, size=scorer.chunk_size, column=column)
    total = sum(chunk.images for chunk in chunks)
    images = errors = 0
    named: list[str] = []
    notes: list[str] = []
    remarks: Counter[str] = Counter()
    with writing(output, scorer.schema) as predictions, closing(ENGINES[engine](scorer, chunks, workers)) as answers:
        for scored in answers:
            predictions.add(scored.table)
            images += len(scored.table)
            errors += len(scored.table) - scored.table["error"].null_count
            if len(named) < min(errors, NAMED_ERRORS):
                named += _named_errors(scored.table)
            notes += scored.notes
            remarks += scored.remarks
            progress(images, total)
        if images != total:
            raise ScoringError(f"expected predictions for {total:,} images, found {images:,}: try again")
    notes += messages(remarks, images, scorer.shift)
    return Summary(images, errors, named[:NAMED_ERRORS], notes)


def _named_errors(table: pa.Table) -> list[str]:
    bad = table.filter(table["error"].is_valid()).slice(0, NAMED_ERRORS).to_pylist()
    return [f"{place(row['path'], row['row'])}: {row['error']}" for row in bad]
