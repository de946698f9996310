"""`kit classify --output`: many images, a row for each."""

from pathlib import Path

import pytest

from tests.interpreter import Kit, run_python
from tests.runtime.predicted import answers, png, read, write_images
from trainer import Dataset


@pytest.mark.spawns
def test_a_folder(run_kit: Kit, model: Path, photos: Path, expected: list[tuple[str, int, float]]) -> None:
    """Rows come in the order in which `kit classify` itself names the images."""
    (photos / "05.png").write_bytes(b"no image")
    (photos / "06.png").write_bytes(b"")
    result = run_kit("classify", "photos", "--model", model, "--output", "out", "--workers", "2")
    assert result.exit_code == 0
    assert result.stdout.startswith("wrote out: 30 images, 2 errors, ")
    reason = "expected an image file (PNG, JPEG, …), found "
    assert result.stderr == (
        f"kit: 2 of 30 images cannot be read: photos/05.png: {reason}8 bytes that begin b'no image'; "
        f"photos/06.png: {reason}nothing (0 bytes)\n"
    )
    rows = read(Path("out"))
    (photos / ".hidden.png").unlink()
    lines = run_kit("classify", "photos", "--model", model).stdout.splitlines()
    assert [row["path"] for row in rows if not row["error"]] == [line.split()[0] for line in lines]
    assert {row["row"] for row in rows} == {None}
    by_number = {int(Path(row["path"]).stem): row for row in rows}
    assert by_number[5] == {
        "path": "photos/05.png",
        "row": None,
        "label": None,
        "index": None,
        "probability": None,
        "accepted": None,
        "familiar": None,
        "error": f"{reason}8 bytes that begin b'no image'",
    }
    right = [number for number in range(30) if number not in (5, 6)]
    assert answers([by_number[number] for number in right]) == [expected[number] for number in right]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray"], "--engine, --workers and --column go with --output"),
        (["--workers", "2"], "--engine, --workers and --column go with --output"),
        (["--column", "image"], "--engine, --workers and --column go with --output"),
        (["--output", "out", "--top-k", "2"], "--top-k and - for standard input do not go with --output"),
        (["--output", "out", "-"], "--top-k and - for standard input do not go with --output"),
        (["--output", "out", "--engine", "spark"], "'spark' is not one of 'local', 'ray'"),
        (["--output", "out", "--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_wrong_calls(run_kit: Kit, model: Path, photos: Path, arguments: list[str], message: str) -> None:
    result = run_kit("classify", photos, "--model", model, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not Path("out").exists()


@pytest.mark.spawns
def test_images_that_look_wrong_are_named_once(run_kit: Kit, model: Path, digits: Dataset) -> None:
    negatives = [png(255 - pixels) for pixels in digits.test.images.numpy()]
    write_images(Path("negatives.parquet"), list(negatives), group=100)
    result = run_kit("classify", "negatives.parquet", "--model", model, "--output", "out")
    assert result.exit_code == 0
    assert result.stderr.startswith("kit: note: expected light and dark as in the training images, found 64 of 64 im")
    assert result.stderr.count("\n") == 1


@pytest.mark.spawns
@pytest.mark.parametrize(("absent", "extra"), [("pyarrow", "parquet"), ("ray", "ray")])
def test_without_an_extra(model: Path, photos: Path, absent: str, extra: str) -> None:
    code = "import kit\nkit.main(['classify', *sys.argv[1:]])"
    arguments: list[str | Path] = [
        "photos",
        "--model",
        model,
        "--output",
        "out",
        *(["--engine", "ray"] if extra == "ray" else []),
    ]
    result = run_python(code, *arguments, cwd=photos.parent, without=[absent])
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f" needs {absent}, which is not installed: pip install 'softmax-kit[{extra}]'\n")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]
