"""The folder and the page: what is in them, and how large they are."""

import json
import re
from pathlib import Path

import pytest

from export import ExportError, export
from runtime.web.reading import FILES
from tests.export.c.made import made
from tests.export.web.made import GREY, artefact, web_folder, web_page
from tests.node import needs_node
from trainer import Checkpoint

MORE = 25_000  # bytes of the page beside its model

pytestmark = [needs_node, pytest.mark.spawns]


def test_the_model_is_the_onnx_int8_artefact(folder: Path, page: Path, exported: dict[str, Path]) -> None:
    model = exported["onnx-int8"].read_bytes()
    assert (folder / "model.onnx").read_bytes() == model
    print(f"{page.stat().st_size:,} bytes of the page, {len(model):,} of its model")
    assert page.stat().st_size <= len(model) * 4 / 3 + MORE


def test_the_folder(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    package = json.loads((folder / "package.json").read_text())
    assert (package["private"], package["type"], "dependencies" in package) == (True, "module", False)
    assert re.search(r"^\| image \| 8 × 8 pixels, grey; ", (folder / "README.md").read_text(), re.MULTILINE)
    assert "$" not in re.sub(r"alert\(.*\)", "", (folder / "README.md").read_text())


@pytest.mark.parametrize("name", ["js", "html"])
def test_the_same_bytes_each_time(name: str, folder: Path, page: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    again = export(checkpoint, name, tmp_path / "again").path
    for one, other in ((again, page),) if name == "html" else [(again / file, folder / file) for file in FILES]:
        assert one.read_bytes() == other.read_bytes()


def test_only_an_earlier_export_is_replaced(checkpoint: Checkpoint, tmp_path: Path) -> None:
    place = web_folder(artefact(made(3, GREY)), tmp_path / "model_js")
    export(checkpoint, "js", place)
    assert b"8 \xc3\x97 8 pixels" in (place / "README.md").read_bytes()
    (place / "notes.txt").touch()
    with pytest.raises(ExportError, match=r"found notes\.txt in it: name another"):
        export(checkpoint, "js", place)
    assert sorted(path.name for path in place.iterdir()) == sorted([*FILES, "notes.txt"])


def test_nothing_of_a_label_is_in_the_page(tmp_path: Path) -> None:
    labels = ("</script><script>alert(1)</script>", "${script}", "plain")
    content = web_page(artefact(made(3, GREY, labels=labels)), tmp_path / "page.html").read_bytes()
    assert b"alert(1)" not in content
    assert content.count(b"<script") == content.count(b"</script>") == 2
