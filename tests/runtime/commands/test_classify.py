"""`kit classify`."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runtime
from tests.interpreter import UNMEASURED, Kit, run_python
from trainer import Dataset

ROOT = Path(__file__).parents[3]


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
            "accepted": None,
            "familiar": None,
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


def start(*arguments: str | Path, **streams: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kit", "classify", *map(str, arguments)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen(command, text=True, cwd=ROOT, env=os.environ | UNMEASURED, **streams)


@pytest.mark.spawns
def test_each_answer_is_printed_as_it_comes(model: Path, images: list[Path]) -> None:
    """Here the second image is waited for: standard input, which is open."""
    with start(images[0], "-", "--model", model) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline().split()[0] == str(images[0])
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.stderr
        assert process.stderr.read().startswith("kit: these bytes: expected an image file")
    assert process.returncode == 1


@pytest.mark.spawns
def test_a_reader_that_has_enough(model: Path, images: list[Path]) -> None:
    with start(images[0], "-", images[1], "--model", model) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        process.stdin = None if process.stdin is None else process.stdin.close()
        assert process.stderr.read().count("\n") == 1  # of standard input, which had no image
    assert process.returncode == 1


@pytest.mark.spawns
def test_json_that_is_interrupted_is_whole(model: Path, images: list[Path]) -> None:
    with start(images[0], "-", "--model", model, "--json") as process:
        assert process.stdout
        assert process.stdin
        assert process.stderr
        lines = [process.stdout.readline()]
        while '"skew"' not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.stdin.close()  # what has begun is waited for
        printed = "".join(lines) + process.stdout.read()
        assert [answer["image"] for answer in json.loads(printed)] == [str(images[0])]
        assert process.stderr.read() == "kit: interrupted\n"
    assert process.returncode == 130


@pytest.mark.spawns
@pytest.mark.parametrize("redirected", [True, False])
def test_the_progress_bar_keeps_out_of_the_lines(redirected: bool, model: Path, images: list[Path]) -> None:
    images[1].write_bytes(b"no image")
    terminal, end = pty.openpty()
    with start(*images, "--model", model, stdout=subprocess.PIPE if redirected else end, stderr=end) as process:
        os.close(end)
        shown = ""
        while part := read_terminal(terminal):
            shown += part
        printed = process.stdout.read() if process.stdout else ""
    os.close(terminal)
    assert process.returncode == 1
    assert ("images  [" in shown) == redirected
    on_screen = re.split(r"\r\n|\x1b\[K", re.sub(r"\x1b\[\d+m", "", shown))
    assert any(line.startswith(f"kit: {images[1]}: expected an image file") for line in on_screen)
    lines = printed.splitlines() if redirected else [line for line in on_screen if not line.startswith("kit: ")]
    assert [line.split()[0] for line in lines if line] == [str(images[0]), str(images[2])]


def read_terminal(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # closed at the other end
        return ""


def test_json_of_several_images_is_one_document(run_kit: Kit, model: Path, images: list[Path]) -> None:
    printed = run_kit("classify", *images, "--model", model, "--json").stdout
    assert printed == json.dumps(json.loads(printed), indent=2) + "\n"


def test_an_empty_folder_does_not_keep_the_others_from_their_answers(
    run_kit: Kit, model: Path, images: list[Path]
) -> None:
    Path("empty").mkdir()
    result = run_kit("classify", images[0], "empty", images[1], "--model", model)
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == [str(images[0]), str(images[1])]
    assert result.stderr.startswith("kit: empty: expected a folder with images, found none")


def test_the_columns(run_kit: Kit, model: Path, images: list[Path]) -> None:
    """They are as wide as the longest name among the arguments, or in the folder; never narrower than before."""
    Path("photos/b").mkdir(parents=True)
    for name in ("1.png", "10.png", "b/2.png", "b/300.png", "c.png"):
        Path("photos", name).write_bytes(images[0].read_bytes())
    result = run_kit("classify", "photos", "--model", model)
    columns = {line.split()[0]: len(re.split(r"(?<= )(?=\S)", line)[0]) - 2 for line in result.stdout.splitlines()}
    assert columns == {
        "photos/1.png": 13,
        "photos/10.png": 13,
        "photos/b/2.png": 16,
        "photos/b/300.png": 16,
        "photos/c.png": 16,
    }


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
