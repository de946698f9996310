"""A folder and a page, read again; and what is neither."""

import re
from pathlib import Path

import pytest

from runtime.errors import ArtefactError
from runtime.loading import load
from runtime.web.reading import FILES, files_in, is_web, read_web
from tests.export.c.made import made
from tests.export.web.made import GREY, artefact, web_folder, web_page
from tests.interpreter import Kit
from tests.node import needs_node

MODEL = artefact(made(3, GREY))


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return web_folder(MODEL, tmp_path / "made_js"), web_page(MODEL, tmp_path / "made.html")


def test_the_model_in_it(both: tuple[Path, Path]) -> None:
    for path in both:
        found = read_web(path)
        assert is_web(path)
        assert found.model == MODEL
        assert found.size == sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
        assert found.metadata.labels == ("label 0", "label 1", "label 2")
    assert read_web(both[1]).module.startswith(read_web(both[0]).module)


def test_an_earlier_export_is_known_by_all_its_files(both: tuple[Path, Path], tmp_path: Path) -> None:
    assert sorted(files_in(both[0])) == sorted(FILES) == sorted(path.name for path in both[0].iterdir())
    (both[0] / "README.md").unlink()
    assert files_in(both[0]) == files_in(both[1]) == files_in(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a page that `kit export --format html` wrote, found: 0 models in it: export it again"),
        (b"<p>hello</p>", "0 models in it"),
        (b'<script type="text/plain" id="model">A</script><script type="module"></script>', "found: "),
        (2 * b'<script type="text/plain" id="model">AAAA</script><script type="module"></script>', "2 models in it"),
    ],
    ids=["empty", "foreign", "base64", "two"],
)
def test_other_pages(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(content)
    with pytest.raises(ArtefactError, match=re.escape(message)):
        read_web(tmp_path / "page.html")


def test_the_runtime_does_not_take_a_page(both: tuple[Path, Path]) -> None:
    with pytest.raises(ArtefactError, match=r"made\.html: expected an ONNX artefact, found a page: export with"):
        load(both[1])


@needs_node
@pytest.mark.spawns
def test_the_commands_take_both(both: tuple[Path, Path], run_kit: Kit) -> None:
    for path, name in zip(both, ("js", "html"), strict=True):
        result = run_kit("selftest", path)
        assert (result.exit_code, result.stdout.count(" in 4 golden examples, tolerance 0.05")) == (0, 1)
        described = run_kit("inspect", path).stdout
        assert re.search(rf"^format +{name}$", described, re.MULTILINE)
        assert "label 0, label 1, label 2" in described
