"""Worker processes on this machine, which may die."""

import multiprocessing
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import runtime
from runtime.errors import ScoringError
from runtime.scoring.inputs import Chunk, find_chunks
from runtime.scoring.local import local
from runtime.scoring.scorer import Scored, Scorer
from tests.interpreter import Kit
from tests.runtime.mortal import Mortal
from tests.runtime.predicted import damaged, write_images

pytestmark = pytest.mark.spawns


def scored(answers: Iterator[Scored]) -> list[dict[str, Any]]:
    return [row for answer in answers for row in answer.table.to_pylist()]


@pytest.fixture
def small_chunks(photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    monkeypatch.chdir(photos.parent)
    return find_chunks(["photos"], size=2)


def test_a_killed_process_loses_and_doubles_nothing(model: Path, small_chunks: list[Chunk]) -> None:
    scorer = Scorer(runtime.load(model))
    undisturbed = scored(local(scorer, small_chunks, 2))
    assert len(undisturbed) == 30
    run = local(scorer, small_chunks, 2)
    found = scored(iter([next(run), next(run)]))
    for process in multiprocessing.active_children():
        process.kill()
    assert found + scored(run) == undisturbed


def test_a_process_that_dies_again_and_again(model: Path, small_chunks: list[Chunk], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for number in range(2):
        (lives / str(number)).touch()
    scorer = Mortal(runtime.load(model), "photos/05.png", lives)
    assert len(scored(local(scorer, small_chunks, 1))) == 30
    for number in range(3):
        (lives / str(number)).touch()
    message = (
        "expected worker processes that keep running, found 3 that died in a row, possibly out of memory, at "
        "photos/04.png or soon after: free memory, use fewer --workers, or leave out that image"
    )
    with pytest.raises(ScoringError, match=rf"^{re.escape(message)}$"):
        scored(local(scorer, small_chunks, 1))
    assert multiprocessing.active_children() == []


def test_a_row_group_that_is_damaged(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    """It shows itself in the middle of the run."""
    path = write_images(Path("images.parquet"), list(encoded[:300]), group=10)
    damaged(path, pq.read_metadata(path).row_group(20).column(0).data_page_offset)
    result = run_kit("classify", path, "--model", model, "--output", "out", "--workers", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
    assert result.stderr.count("\n") == 1
    assert list(Path().iterdir()) == [path]
    assert multiprocessing.active_children() == []
