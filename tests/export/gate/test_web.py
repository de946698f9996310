"""A model for browsers that answers otherwise than onnx-int8 is never kept."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export import ParityError, export
from export.formats import FORMATS
from export.web import source
from runtime.artefact import Metadata
from runtime.errors import SelfTestError
from runtime.web.reading import MODULE
from tests.node import needs_node
from trainer import Checkpoint

pytestmark = [needs_node, pytest.mark.spawns]

WRONG = {
    "a sum": ("value * (weights[at++] - zero)", "value * (weights[at++] - 127)", "its own numbers'"),
    "a float": ("+ bias[classes + k]) : bias[k]", "+ bias[classes + k]) : bias[k] + k / 1e4", "its own numbers'"),
    "a label": ("[...labels]", "labels.toReversed()", "the metadata to read back"),
    "the size": ("Math.floor(sum / 2 ** 22)", "Math.ceil(sum / 2 ** 22)", "images of 19 × 25 pixels to be fitted"),
    "the colour": ("19595 * shown(0)", "19594 * shown(0)", "RGBA images of 19 × 25 pixels to be fitted"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_module_is_never_kept(
    name: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong, message = WRONG[name]
    read = source.compact

    def changed(file: str) -> str:
        text = read(file)
        assert right in text or file != MODULE
        return text.replace(right, wrong)

    monkeypatch.setattr(source, "compact", changed)
    with pytest.raises(ParityError, match=message):
        export(checkpoint, "html", tmp_path / "model.html")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_self_test(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = source.compact
    monkeypatch.setattr(
        source, "compact", lambda file: read(file).replace("difference <= tolerance", "difference <= tolerance / 1e9")
    )
    with pytest.raises(SelfTestError, match="expected golden examples within"):
        export(checkpoint, "js", tmp_path / "model_js")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["js", "html"])
def test_one_corrupted_weight_is_never_kept(
    name: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FORMATS[name].load()
    write: Callable[..., Any] = module.write

    def corrupted(numbers: Any, metadata: Metadata, target: Any) -> Any:
        weights = numbers.weights.copy()
        weights[20, 3] += 1
        return write(dataclasses.replace(numbers, weights=weights), metadata, target)

    monkeypatch.setattr(module, "write", corrupted)
    with pytest.raises(ParityError, match="expected probabilities within 1e-05 of its own numbers'"):
        export(checkpoint, name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
