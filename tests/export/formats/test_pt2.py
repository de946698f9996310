"""The .pt2 file: a torch.export program."""

import json
from pathlib import Path

import pytest
import torch

from export import ExportError
from export.formats.pt2 import open_artefact
from trainer import Dataset, Fit


def test_it_stands_alone(exported: dict[str, Path], digits: Dataset, digits_fit: Fit) -> None:
    """torch alone opens it, for any batch size: uint8 [N, H, W, C] in, probabilities out, the metadata beside."""
    extra = {"kit.json": ""}
    with exported["pt2"].open("rb") as file:
        module = torch.export.load(file, extra_files=extra).module()
    for count in (1, 3, 360):
        images = digits.test.images[:count]
        found = module(images)
        torch.testing.assert_close(found, digits_fit.model.probabilities(images), rtol=0, atol=1e-5)
        assert found.dtype == torch.float32
    assert json.loads(extra["kit.json"])["labels"] == list(digits.labels)


def test_no_source_locations(exported: dict[str, Path]) -> None:
    with exported["pt2"].open("rb") as file:
        program = torch.export.load(file)
    assert not any(node.meta.get("stack_trace") for node in program.graph.nodes)


def test_files_that_are_not_valid(tmp_path: Path, exported: dict[str, Path]) -> None:
    path = tmp_path / "model.pt2"
    for data in (b"nothing", exported["pt2"].read_bytes()[:3000]):
        path.write_bytes(data)
        with pytest.raises(ExportError, match=r"expected a torch\.export file, found one that torch refuses"):
            open_artefact(path)
