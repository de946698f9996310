"""Image files that have no path: resources of a package in a zip file."""

import importlib.resources
import zipfile
from pathlib import Path

import pytest

from runtime import Classifier, InputError
from runtime.image import Pixels


def test_a_resource_of_a_package(
    classifier: Classifier, encoded: list[bytes], images: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        file.writestr("pictured/__init__.py", "")
        file.writestr("pictured/3.png", encoded[3])
        file.writestr("pictured/bad.png", b"no image")
    monkeypatch.syspath_prepend(tmp_path / "pictures.zip")
    folder = importlib.resources.files("pictured")
    assert classifier.classify(folder / "3.png") == classifier.classify(images[3])
    assert classifier.classify_batch([folder / "3.png"]) == classifier.classify_batch([images[3]])
    with pytest.raises(
        InputError, match=r"pictures\.zip/pictured/absent\.png: expected an image file that can be read"
    ):
        classifier.classify(folder / "absent.png")
    with pytest.raises(InputError, match=r"pictures\.zip/pictured/bad\.png: expected an image file \(PNG"):
        classifier.classify(folder / "bad.png")
    with pytest.raises(InputError, match="got one, a Path: pass it to classify"):
        classifier.classify_batch(folder / "3.png")  # type: ignore[arg-type]
