"""`kit classify`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runtime
from tests.interpreter import Kit, run_python
from trainer import Dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def images(digits: Dataset, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, pixels in zip(paths, digits.test.images.numpy(), strict=False):
        Image.fromarray(pixels[:, :, 0]).save(path)
    return paths


def test_a_line_for_each_image(run_kit: Kit, model: Path, images: list[Path]) -> None:
    result = run_kit("classify", *images, "--model", model, "--top-k", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    for line, path in zip(result.stdout.splitlines(), images, strict=True):
        top = runtime.classify(path, model=model, top_k=2).top
        assert line.split() == [
            str(path),
            *(f"{value:.4f}" if isinstance(value, float) else value for pair in top for value in pair),
        ]


def test_json(run_kit: Kit, model: Path, images: list[Path]) -> None:
    result = run_kit("classify", *images, "--model", model, "--json", "--top-k", "3")
    answers = json.loads(result.stdout)
    for answer, path in zip(answers, images, strict=True):
        prediction = runtime.classify(path, model=model, top_k=3)
        assert answer == {
            "image": str(path),
            "label": prediction.label,
            "probability": prediction.probability,
            "index": prediction.index,
            "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
            "skew": [],
        }


def test_a_bad_image_does_not_keep_the_others_from_their_answers(run_kit: Kit, model: Path, images: list[Path]) -> None:
    images[1].write_bytes(b"no image")
    result = run_kit("classify", *images, "--model", model)
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == [str(images[0]), str(images[2])]
    assert result.stderr == (
        f"kit: {images[1]}: expected an image file (PNG, JPEG, …), found 8 bytes that begin b'no image'\n"
    )
    as_json = run_kit("classify", *images, "--model", model, "--json")
    assert as_json.exit_code == 1
    assert [sorted(answer) for answer in json.loads(as_json.stdout)][1] == ["error", "image"]


@pytest.mark.spawns
def test_a_folder_and_standard_input(run_kit: Kit, model: Path, images: list[Path]) -> None:
    deeper = images[0].parent / "deeper"
    deeper.mkdir()
    images[2].rename(deeper / "2.PNG")
    for name in ("notes.txt", "._2.PNG", ".hidden.png"):
        (deeper / name).write_text("no image")
    found = run_kit("classify", images[0].parent, "--model", model)
    assert (found.exit_code, found.stderr) == (0, "")
    assert [line.split()[0] for line in found.stdout.splitlines()] == [*map(str, images[:2]), str(deeper / "2.PNG")]
    with images[0].open("rb") as file:
        command = [sys.executable, "-m", "kit", "classify", "-", "--model", str(model)]
        output = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert output.split()[1] == runtime.classify(images[0], model=model).label
    (deeper / "2.PNG").unlink()
    empty = run_kit("classify", deeper, "--model", model)
    assert (empty.exit_code, empty.stdout) == (1, "")
    assert empty.stderr.startswith(f"kit: {deeper}: expected a folder with images, found none (AVIF, ")


def test_images_that_look_wrong_are_named(run_kit: Kit, model: Path, images: list[Path]) -> None:
    for path in images:
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    result = run_kit("classify", *images, "--model", model)
    assert result.exit_code == 0
    assert result.stderr.startswith("kit: note: expected light and dark as in the training images, found 3 of 3 images")
    answers = json.loads(run_kit("classify", *images, "--model", model, "--json").stdout)
    assert [[finding["cause"] for finding in answer["skew"]] for answer in answers] == [["inverted"]] * 3


def test_wrong_calls(run_kit: Kit, model: Path, images: list[Path]) -> None:
    for arguments in ([images[0]], ["--model", model], [images[0], "--model", model, "--top-k", "0"]):
        result = run_kit("classify", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_model_that_is_none(run_kit: Kit, images: list[Path], content: bytes | None) -> None:
    if content is not None:
        Path("m.onnx").write_bytes(content)
    result = run_kit("classify", images[0], "--model", "m.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: m.onnx: expected an ")
    assert result.stderr.count("\n") == 1


@pytest.mark.spawns
def test_without_pillow(model: Path, images: list[Path]) -> None:
    code = "import kit\nkit.main(['classify', sys.argv[1], '--model', sys.argv[2]])"
    result = run_python(code, images[0], model, without=["PIL", "torch", "onnx"])
    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr
        == "kit: decoding an image file needs PIL, which is not installed: pip install 'softmax-kit[image]'\n"
    )
