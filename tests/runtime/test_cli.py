"""`kit classify`."""

import json
from pathlib import Path

import pytest
from PIL import Image

import runtime
from tests.interpreter import Kit, run_python
from trainer import Dataset


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


def test_without_pillow(model: Path, images: list[Path]) -> None:
    code = "import kit\nkit.main(['classify', sys.argv[1], '--model', sys.argv[2]])"
    result = run_python(code, images[0], model, without=["PIL", "torch", "onnx"])
    assert (result.returncode, result.stdout) == (1, "")
    assert (
        result.stderr
        == "kit: decoding an image file needs PIL, which is not installed: pip install 'softmax-kit[image]'\n"
    )
