"""The folder of C and the library for Arduino: their files, options and refusals."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from export import ExportError, ParityError, export
from export.c import source
from export.formats import c
from runtime.c.footprint import Footprint
from runtime.errors import ToolchainError
from tests.compilers import needs
from trainer import Checkpoint


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bytes_each_time(checkpoint: Checkpoint, c_folder: Path, c_library: Path, tmp_path: Path) -> None:
    again = export(checkpoint, "c", tmp_path / "other", frame=(40, 30)).path
    assert contents(again) == contents(c_folder)
    assert sorted(contents(again)) == ["README.md", "digits.c", "digits.h", "kit.json"]
    again = export(checkpoint, "arduino", tmp_path / "x.arduino.zip").path
    assert again.read_bytes() == c_library.read_bytes()


def test_kit_json_is_that_of_every_format(c_folder: Path, exported: dict[str, Path]) -> None:
    found = json.loads((c_folder / "kit.json").read_text())
    expected = runtime.load(exported["onnx-int8"]).metadata.to_json()
    assert found.pop("c") == {"name": "digits", "frame": [40, 30]}
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(expected))


def test_the_library(c_library: Path) -> None:
    """As Arduino's specification of libraries has it, in one folder."""
    with zipfile.ZipFile(c_library) as file:
        names = sorted(file.namelist())
        properties = file.read("digits/library.properties").decode()
        sketch = file.read("digits/examples/Classify/Classify.ino").decode()
    assert names == [
        "digits/README.md", "digits/examples/Classify/Classify.ino", "digits/extras/kit.json",
        "digits/library.properties", "digits/src/digits.c", "digits/src/digits.h",
    ]  # fmt: skip
    keys = [line.partition("=")[0] for line in properties.splitlines()]
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"} <= {
        *keys
    }
    assert "#include <digits.h>" in sketch


def test_a_name_for_each_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = export(checkpoint, "c", tmp_path / "c", name="second").path
    assert {"second.c", "second.h"} <= set(contents(folder))
    assert b"digits" not in (folder / "second.h").read_bytes()


def test_an_earlier_export_is_replaced_and_nothing_else(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "model_c"
    export(checkpoint, "c", folder, name="first")
    export(checkpoint, "c", folder, name="second")
    assert sorted(contents(folder)) == ["README.md", "kit.json", "second.c", "second.h"]
    (folder / "main.c").write_text("/* mine */")
    before = contents(folder)
    with pytest.raises(ExportError, match=r"expected a folder of an earlier export, or a new one, found main\.c in it"):
        export(checkpoint, "c", folder)
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("format", ["c", "arduino"])
def test_a_wrong_model_is_never_kept(
    format: str,  # noqa: A002
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The C has another bias of one class than onnx-int8, within the tolerance from the trained model."""
    sources = source.sources

    def changed(name: str, numbers: Any, *more: Any) -> dict[str, bytes]:
        bias = numbers.bias + np.eye(1, len(numbers.bias), 3, dtype=np.float32)[0] * np.float32(1.5e-5)
        return sources(name, dataclasses.replace(numbers, bias=bias), *more)

    monkeypatch.setattr(c, "sources", changed)
    with pytest.raises(ParityError, match=r"expected .*onnx-int8's.*the file was not kept"):
        export(checkpoint, format, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ToolchainError, match=r"expected a C compiler.*pip install 'softmax-kit\[c\]'"):
        export(checkpoint, "c", tmp_path / "model_c")
    assert list(tmp_path.iterdir()) == []


@needs("cortex-m0")
def test_a_budget(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"flash of at most 1,024 on cortex-m0, found [\d,]+: raise --budget"):
        export(checkpoint, "c", tmp_path / "model_c", targets=["cortex-m0"], budget={"flash": 1024})
    assert list(tmp_path.iterdir()) == []
    report = export(checkpoint, "c", tmp_path / "model_c", targets=["cortex-m0"], budget={"flash": 16384})
    assert isinstance(report.footprints["cortex-m0"], Footprint)


def test_a_budget_that_cannot_be_checked(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.c.footprint.is_installed", lambda _target: False)
    with pytest.raises(ExportError, match=r"expected the tools of a target that the model fits, .* found none"):
        export(checkpoint, "c", tmp_path / "model_c", targets=None, budget={"flash": 16384})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 13}, "expected no opset and no onnxruntime version for c, found 13"),
        ({"name": "3d"}, "3d"),
        ({"name": "int"}, "int"),
        ({"frame": (0, 5)}, "frame"),
        ({"frame": (5, 100_000)}, "frame"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        export(checkpoint, "c", tmp_path / "model_c", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"name": "digits"}, {"frame": (40, 30)}])
def test_options_of_c_alone(options: dict[str, Any], checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected a name and a frame for c and arduino alone, found them for onnx"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", **options)


def test_platforms_read_the_zip(c_library: Path) -> None:
    """Without a time, a system or an attribute that would differ from one export to the next."""
    with zipfile.ZipFile(io.BytesIO(c_library.read_bytes())) as file:
        assert file.testzip() is None
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
