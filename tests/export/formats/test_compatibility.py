"""The table of what onnxruntime releases load: its form, its look-up, and its row for the release installed here.

test_old_runtimes.py proves rows of other releases.
"""

import re
from pathlib import Path

import onnx
import pytest

from export import ExportError
from export.formats.compatibility import IR_VERSION, OLDEST_OPSET, OPSET, RELEASES, Release, release
from runtime import ArtefactError
from runtime.session import onnxruntime, open_session
from tests.interpreter import run_python

INSTALLED = release(onnxruntime().__version__)


def rewritten(model: Path, *, opset: int = OPSET, ir: int = IR_VERSION) -> bytes:
    """Return the artefact with other version numbers on the same nodes."""
    proto = onnx.load(model)
    proto.opset_import[0].version, proto.ir_version = opset, ir
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    ("version", "row"),
    [
        ("1.15", (1, 15)),
        ("1.15.1", (1, 15)),
        ("1.17.3", (1, 17)),
        ("1.18rc1", (1, 18)),
        ("1.21.0+dfsg", (1, 21)),
        ("1.22.0.dev20250306001", (1, 22)),
        ("1.20", (1, 20)),
        ("1.31.1", (1, 31)),
        ("1.32.0", (1, 32)),
        ("1.999.0", (1, 32)),
        ("2.0", (1, 32)),
    ],
)
def test_look_up(version: str, row: tuple[int, int]) -> None:
    assert release(version) is RELEASES[row]


@pytest.mark.parametrize("version", ["1.14", "1.14.1", "1.2", "1.02", "0.99"])
def test_releases_older_than_the_table(version: str) -> None:
    expected = f"expected onnxruntime 1.15 or newer, found {version}: upgrade it where the artefact will run"
    with pytest.raises(ExportError, match=f"^{re.escape(expected)}$"):
        release(version)


@pytest.mark.parametrize(
    "version",
    ["", "1", "1.", ".15", "latest", "v1.17", "1.17\n", " 1.17", "1.17.1.0", "1.17.1+", "1,17", "-1.17", "1.²"],
)
def test_text_that_is_no_version(version: str) -> None:
    expected = f"expected a version of onnxruntime, such as 1.17 or 1.17.3, found {version!r}: `python -c "
    with pytest.raises(ExportError, match=f"^{re.escape(expected)}"):
        release(version)


def test_the_table_has_a_row_for_every_release_and_no_release_loads_less_than_the_one_before() -> None:
    assert list(RELEASES) == [(1, minor) for minor in range(15, 15 + len(RELEASES))]
    rows = list(RELEASES.values())
    for field in Release.__dataclass_fields__:
        values = [getattr(row, field) for row in rows]
        assert values == sorted(values)


def test_every_release_loads_the_defaults() -> None:
    assert all(OLDEST_OPSET <= OPSET <= row.opset and row.ir >= IR_VERSION for row in RELEASES.values())


@pytest.mark.spawns
def test_the_table_needs_neither_onnx_nor_torch_nor_numpy() -> None:
    absent = ["onnx", "onnxruntime", "torch"]
    result = run_python("import export.formats.compatibility as c\nprint(c.release('1.15').opset)", without=absent)
    assert (result.returncode, result.stdout) == (0, "18\n"), result.stderr


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, INSTALLED.opset + 1))
def test_the_installed_release_loads_every_opset_of_its_row_and_so_passes_the_checker(model: Path, opset: int) -> None:
    data = rewritten(model, opset=opset)
    onnx.checker.check_model(data, full_check=True)
    assert open_session(data).get_inputs()[0].name == "images"


@pytest.mark.parametrize("ir", range(IR_VERSION, INSTALLED.ir + 1))
def test_the_installed_release_loads_every_ir_version_of_its_row(model: Path, ir: int) -> None:
    assert open_session(rewritten(model, ir=ir)).get_inputs()[0].name == "images"


@pytest.mark.skipif(
    tuple(map(int, onnxruntime().__version__.split(".")[:2])) not in RELEASES,
    reason="the installed onnxruntime is newer than the table: measure it, and give it a row",
)
@pytest.mark.parametrize(
    "newer", [{"opset": INSTALLED.opset + 1}, {"ir": INSTALLED.ir + 1}], ids=lambda new: next(iter(new))
)
def test_the_installed_release_refuses_what_is_newer_than_its_row(model: Path, newer: dict[str, int]) -> None:
    with pytest.raises(ArtefactError, match=r"^expected an ONNX file that onnxruntime .* loads, found one"):
        open_session(rewritten(model, **newer))
