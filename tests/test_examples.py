"""The examples, run as their users run them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

import runtime
from examples import watch_folder
from examples.web import create_app
from runtime.processes import cpus
from tests.interpreter import run_python
from trainer import Dataset

EXAMPLES = Path(__file__).parents[1] / "examples"
RUN = "import runpy\nsys.argv[:] = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"


def run_example(name: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLES / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    result = run_example("sample_image.py", "digits", "0", "sample", cwd=folder)
    assert result.stdout == "sample.png, sample.npy: a test image that shows '1'\n", result.stderr
    return folder


@pytest.mark.spawns
def test_deploy(sample: Path, model: Path) -> None:
    expected = runtime.classify(np.load(sample / "sample.npy"), model=model)
    for name in ("sample.npy", "sample.png"):
        result = run_example("deploy.py", model, name, cwd=sample)
        assert result.stdout == (
            f"{name}: {expected.label} (probability {expected.probability:.4f}); torch is installed\n"
        ), result.stderr


@pytest.mark.spawns
def test_deploy_without_torch(sample: Path, model: Path) -> None:
    code = f"import importlib.util\nimportlib.util.find_spec = lambda name: None\n{RUN}"
    result = run_python(code, EXAMPLES / "deploy.py", model, "sample.npy", cwd=sample, without=["torch", "PIL", "onnx"])
    assert result.stdout.endswith("torch is not installed\n"), result.stderr


@pytest.mark.spawns
def test_deploy_with_a_bad_image(sample: Path, model: Path) -> None:
    result = run_example("deploy.py", model, "absent.png", cwd=sample)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("deploy.py: absent.png: expected an image file")


@pytest.fixture
def images(digits: Dataset, tmp_path: Path) -> Path:
    """A folder with six digits, and one file that is no image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for position, pixels in enumerate(digits.test.images[:6].numpy()):
        Image.fromarray(pixels.squeeze()).save(folder / f"{position}.png")
    (folder / "broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "predictions.jsonl"


def answer(path: Path, model: Path) -> dict[str, Any]:
    """What watch_folder.py has to say about an image, from `runtime.classify`."""
    try:
        prediction = runtime.classify(path, model=model)
    except runtime.InputError as error:
        return {"image": path.name, "error": str(error)}
    return {
        "image": path.name,
        "label": prediction.label,
        "probability": prediction.probability,
        "index": prediction.index,
    }


def read_lines(output: Path) -> list[dict[str, Any]]:
    """Lines of JSON, the last one whole."""
    data = output.read_bytes() if output.exists() else b""
    assert not data or data.endswith(b"\n"), data
    return [json.loads(line) for line in data.splitlines()]


def by_name(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda line: str(line["image"]))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def watch_arguments(folder: Path, model: Path, output: Path) -> list[str | Path]:
    return [folder, "--model", model, "--output", output, "--poll", "0.05"]


@contextmanager
def watching(folder: Path, model: Path, output: Path, end: signal.Signals) -> Iterator[None]:
    """Run watch_folder.py inside the block, end it by a signal, and check how it ended."""
    command = [sys.executable, EXAMPLES / "watch_folder.py", *watch_arguments(folder, model, output)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            process.send_signal(end)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def watch_once(folder: Path, model: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return run_example("watch_folder.py", *watch_arguments(folder, model, output), "--once", cwd=output.parent)


@pytest.mark.spawns
def test_watch_folder_answers_each_image_once(images: Path, model: Path, output: Path) -> None:
    late = images / "1-late.png"
    (images / "5.png").rename(images / ".5.png.part")
    (images / "notes.txt").write_text("no image")
    with watching(images, model, output, signal.SIGTERM):
        wait_for(lambda: output.exists() and output.read_bytes().count(b"\n") == 6)
        (images / ".5.png.part").rename(images / "5.png")
        wait_for(lambda: output.read_bytes().count(b"\n") == 7)
    first = read_lines(output)
    assert [line["image"] for line in first] == [*(f"{n}.png" for n in range(5)), "broken.png", "5.png"]

    late.write_bytes((images / "1.png").read_bytes())
    with watching(images, model, output, signal.SIGINT):
        wait_for(lambda: output.read_bytes().count(b"\n") == 8)
    lines = read_lines(output)
    assert lines[:7] == first
    assert by_name(lines) == [answer(path, model) for path in sorted(images.glob("[!.]*.png"))]


@pytest.mark.spawns
def test_watch_folder_ends_between_two_images(images: Path, model: Path, output: Path) -> None:
    for copy in range(200):
        os.link(images / f"{copy % 6}.png", images / f"copy-{copy:03}.png")
    with watching(images, model, output, signal.SIGTERM):
        wait_for(lambda: output.exists() and output.stat().st_size > 0)
    assert read_lines(output)
    assert watch_once(images, model, output).returncode == 0
    assert [line["image"] for line in read_lines(output)] == sorted(path.name for path in images.iterdir())


def test_watch_folder_ends_after_the_image_at_hand(
    images: Path, model: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: SimpleQueue[int] = SimpleQueue()

    def interrupted(_: runtime.Classifier, path: Path) -> dict[str, Any]:
        signals.put(signal.SIGTERM)
        return answer(path, model)

    monkeypatch.setattr(watch_folder, "classify", interrupted)
    watch_folder.watch(images, runtime.load(model), output, 0.01, False, signals)
    assert read_lines(output) == [answer(images / "0.png", model)]


@pytest.mark.spawns
def test_watch_folder_goes_on_after_a_crash(images: Path, model: Path, output: Path) -> None:
    lines = [json.dumps(answer(images / f"{position}.png", model)) for position in range(2)]
    output.write_text(f"{lines[0]}\n{lines[1][:-5]}")
    result = watch_once(images, model, output)
    assert result.returncode == 0
    assert 'predictions.jsonl: cut off half a line: b\'{"image": "1.png"' in result.stderr
    assert read_lines(output) == [answer(path, model) for path in sorted(images.iterdir())]


@pytest.mark.spawns
def test_watch_folder_runs_without_torch(images: Path, model: Path, output: Path) -> None:
    arguments = [EXAMPLES / "watch_folder.py", *watch_arguments(images, model, output), "--once"]
    result = run_python(RUN, *arguments, without=["torch", "onnx", "click"])
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert read_lines(output) == [answer(path, model) for path in sorted(images.iterdir())]


@pytest.mark.spawns
def test_watch_folder_leaves_foreign_files_alone(images: Path, model: Path, output: Path) -> None:
    output.write_text("my notes\nof today")
    result = watch_once(images, model, output)
    assert result.returncode == 1
    assert result.stderr.startswith(f"watch_folder.py: {output}: expected lines that this script wrote")
    assert output.read_text() == "my notes\nof today"


@pytest.mark.spawns
def test_watch_folder_names_a_folder_that_is_absent(model: Path, output: Path) -> None:
    result = watch_once(output.parent / "absent", model, output)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"watch_folder.py: .*absent'\n", result.stderr)


def test_watch_folder_skips_what_is_deleted_meanwhile(
    images: Path, model: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [images / "deleted.png", images / "0.png"]
    monkeypatch.setattr(watch_folder, "arrivals", lambda *_: iter([[], found]))
    watch_folder.watch(images, runtime.load(model), output, 0.01, True, SimpleQueue())
    assert read_lines(output) == [answer(images / "0.png", model)]


def test_arrivals_waits_until_a_file_stands_still(tmp_path: Path) -> None:
    looks = watch_folder.arrivals(tmp_path, {"done.png"})
    growing, touched, done = (tmp_path / name for name in ("growing.PNG", "touched.jpg", "done.png"))
    for path in (growing, touched, done):
        path.write_bytes(b"1")
    assert next(looks) == []
    growing.write_bytes(b"12")
    os.utime(touched, (1, 1))
    assert next(looks) == []
    assert next(looks) == [growing, touched]


def test_arrivals_counts_a_renamed_file_at_once(tmp_path: Path) -> None:
    looks = watch_folder.arrivals(tmp_path, set())
    part = tmp_path / ".image.png.part"
    part.write_bytes(b"1")
    assert next(looks) == next(looks) == []
    image = part.rename(tmp_path / "image.png")
    assert next(looks) == [image]


def test_arrivals_passes_over_what_is_no_image_file(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to("absent")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    looks = watch_folder.arrivals(tmp_path, set())
    assert next(looks) == next(looks) == []


@pytest.mark.spawns
@pytest.mark.parametrize("arguments", [[], ["--threads", "3"], ["--threads", "1"]])
def test_threads(images: Path, model: Path, arguments: list[str]) -> None:
    (images / "broken.png").unlink()
    result = run_example("threads.py", images, "--model", model, *arguments, cwd=images.parent)
    answers = [answer(path, model) for path in sorted(images.iterdir())]
    lines = [f"{line['image']}: {line['label']} (probability {line['probability']:.4f})" for line in answers]
    assert (result.returncode, result.stdout.splitlines()) == (0, lines)
    threads = arguments[-1] if arguments else str(cpus())
    assert re.fullmatch(rf"6 images in [\d.]+ s, [\d,]+ images/s, {threads} threads\n", result.stderr)


@pytest.mark.spawns
def test_threads_without_torch_names_bad_images(images: Path, model: Path) -> None:
    without = ["torch", "onnx", "click"]
    result = run_python(RUN, EXAMPLES / "threads.py", images, "--model", model, "--threads", "2", without=without)
    assert (result.returncode, len(result.stdout.splitlines())) == (1, 6)
    assert result.stderr.startswith(f"threads.py: {images}/broken.png: expected an image file")


@pytest.fixture(scope="module")
def client(model: Path) -> FlaskClient:
    return create_app(str(model)).test_client()


def test_web_answers_concurrent_requests(images: Path, model: Path) -> None:
    app = create_app(str(model))
    paths = sorted(images.glob("[0-9].png")) * 10
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda path: app.test_client().post("/", data=path.read_bytes()), paths))
    assert {response.status_code for response in responses} == {200}
    got = [{"image": path.name, **response.get_json()} for path, response in zip(paths, responses, strict=True)]
    assert got == [answer(path, model) for path in paths]


@pytest.mark.parametrize("body", [b"", b"not an image", b"\x89PNG\r\n\x1a\n and no more"])
def test_web_refuses_what_is_no_image(client: FlaskClient, model: Path, body: bytes) -> None:
    with pytest.raises(runtime.InputError) as refused:
        runtime.classify(body, model=model)
    response = client.post("/", data=body)
    assert (response.status_code, response.get_json()) == (400, {"error": str(refused.value)})


def test_web_limits_the_body(client: FlaskClient) -> None:
    limit: int = client.application.config["MAX_CONTENT_LENGTH"]
    assert client.post("/", data=bytes(limit)).status_code == 400
    assert client.post("/", data=bytes(limit + 1)).status_code == 413
    chunks = BytesIO(bytes(limit + 100_000))
    client.post("/", input_stream=chunks, environ_overrides={"wsgi.input_terminated": True})
    assert chunks.tell() <= limit + 1


def test_web_takes_the_body_that_curl_sends(client: FlaskClient, images: Path, model: Path) -> None:
    path = images / "0.png"
    response = client.post("/", data=path.read_bytes(), content_type="application/x-www-form-urlencoded")
    assert {"image": "0.png", **response.get_json()} == answer(path, model)


@pytest.mark.spawns
def test_web_starts_as_its_usage_says(model: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", f"web:create_app({str(model)!r})", "routes"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES, timeout=120, check=False)
    assert re.search(r"^classify +POST +/ *$", result.stdout, re.MULTILINE), result.stderr


@pytest.mark.spawns
def test_web_runs_without_torch(images: Path, model: Path) -> None:
    code = (
        "import runpy\n"
        "client = runpy.run_path(sys.argv[1])['create_app'](sys.argv[2]).test_client()\n"
        "print(client.post('/', data=open(sys.argv[3], 'rb').read()).text)"
    )
    arguments = [EXAMPLES / "web.py", model, images / "0.png"]
    result = run_python(code, *arguments, without=["torch", "onnx"])
    assert {"image": "0.png", **json.loads(result.stdout)} == answer(images / "0.png", model), result.stderr


def test_web_is_short() -> None:
    assert len((EXAMPLES / "web.py").read_text().splitlines()) < 30


@pytest.mark.spawns
@pytest.mark.parametrize("name", ["threads.py", "watch_folder.py"])
def test_wrong_options_show_the_usage(name: str, tmp_path: Path) -> None:
    result = run_example(name, "images", "--model", "m.onnx", "--output", "o", "--poll", "0", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"usage: {name} ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spawns
@pytest.mark.parametrize("name", ["deploy.py", "digits_folder.py", "sample_image.py"])
def test_wrong_calls_show_the_usage(name: str, tmp_path: Path) -> None:
    result = run_example(name, cwd=tmp_path)
    assert result.returncode == 1
    assert "Usage: python" in result.stderr
