"""Metadata of later versions, and labels of every kind, in each format."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.formats import FORMATS
from export.formats.compatibility import Target
from runtime import ArtefactError, artefact
from runtime.artefact import from_json
from runtime.golden import Golden
from runtime.image import ImageContract
from tests.formats import FILES
from tests.runtime.page import EXAMPLE, VALIDATOR, document_of
from trainer import Checkpoint


def rewritten(name: str, checkpoint: Checkpoint, exported: dict[str, Path], path: Path, **changes: Any) -> Path:
    """Write an artefact of digits with other metadata."""
    kind = FORMATS[name].load()
    metadata = kind.open_artefact(exported[name]).metadata._replace(**changes)
    path.write_bytes(kind.write(kind.prepare(checkpoint), metadata, Target()))
    return path


@pytest.mark.parametrize("name", list(FILES))
def test_entries_of_later_versions_are_kept(
    name: str,
    checkpoint: Checkpoint,
    exported: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = {"later": {"b": [1, 2.5, None], "a": "ü"}, "zones": []}
    with monkeypatch.context() as patch:
        patch.setattr(artefact, "PLAIN_VERSION", "1.999")
        path = rewritten(name, checkpoint, exported, tmp_path / "later", others=others)
    assert document_of(name, path)["version"] == "1.999"
    read = FORMATS[name].load().open_artefact(path).metadata
    assert read.others == others
    path = rewritten(name, checkpoint, {name: path}, tmp_path / "again")
    assert {entry: value for entry, value in document_of(name, path).items() if entry in others} == others


@pytest.mark.parametrize("name", list(FILES))
def test_a_newer_major_version_is_refused(
    name: str,
    checkpoint: Checkpoint,
    exported: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(artefact, "PLAIN_VERSION", "3.0")
        path = rewritten(name, checkpoint, exported, tmp_path / "newer")
    message = "expected an artefact of format 2.x or older, found 3.0: upgrade softmax-kit here, or train and export"
    with pytest.raises(ArtefactError, match=re.escape(message)):
        FORMATS[name].load().open_artefact(path)


@pytest.mark.parametrize("name", list(FILES))
def test_a_thousand_labels_of_every_kind_survive(name: str, tmp_path: Path) -> None:
    names = ("a,b", 'say "c"', "l'été", "köln", "鞋", "حذاء", "👟", "line\nbreak", "\u2028", "\\n", "\0", " ", "null")
    labels = (*names, *(f"class {i}" for i in range(1000 - len(names))))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2, 3, 2, 3), np.uint8)
    weights = generator.normal(size=(18, 1000)).astype(np.float32)
    checkpoint = Checkpoint(
        weights=weights,
        bias=np.zeros(1000, np.float32),
        mean=np.zeros(3, np.float32),
        std=np.full(3, 255, np.float32),
        golden_images=images,
        golden_probabilities=np.full((2, 1000), 1e-3, np.float32),
        sample_images=images,
        labels=labels,
        image=ImageContract(height=3, width=2, color="RGB"),
        provenance={},
    )
    metadata = from_json(EXAMPLE)
    golden = Golden(images=images, probabilities=checkpoint.golden_probabilities, tolerance=1e-5)
    metadata = metadata._replace(labels=labels, image=checkpoint.image, pixel_statistics=None, golden=golden)
    kind = FORMATS[name].load()
    path = tmp_path / "model"
    path.write_bytes(kind.write(kind.prepare(checkpoint), metadata, Target()))
    document = document_of(name, path)
    VALIDATOR.validate(document)
    assert tuple(document["labels"]) == kind.open_artefact(path).metadata.labels == labels
