"""Parquet as training data: what is read from it, from where, and what is wrong with it."""

import io
import json
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from runtime import InputError, KitError
from runtime.data import decode
from tests.interpreter import UNMEASURED, Kit, run_python
from trainer import DataError, Dataset, load_data

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["cat", "dog"]


def pixels(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "PNG")
    return file.getvalue()


def table(
    numbers: Sequence[int], labels: Any = None, *, images: Any = None, kind: Any = STRUCT, names: Any = NAMES
) -> pa.Table:
    """Rows as Hugging Face `datasets` writes them: images by number, labels that alternate unless given."""
    encoded = [png(number) for number in numbers] if images is None else images
    if kind == STRUCT:
        encoded = [{"bytes": image, "path": f"{row}.png"} for row, image in enumerate(encoded)]
    labels = [number % 2 for number in numbers] if labels is None else labels
    found = pa.table({"image": pa.array(encoded, kind), "label": labels})
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    return found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})} if names else {})


def load(source: Path | str, **settings: Any) -> Dataset:
    return load_data(str(source), image_size=8, **settings)


def whole(data: Dataset) -> dict[bytes, str]:
    """Every image of both splits with its label."""
    return {
        image.tobytes(): data.labels[target]
        for split in (data.train, data.test)
        for image, target in zip(split.images.numpy(), split.targets.tolist(), strict=True)
    }


def expected(numbers: Sequence[int]) -> dict[bytes, str]:
    return {pixels(number).tobytes(): NAMES[number % 2] for number in numbers}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """20 rows in row groups of 6."""
    path = tmp_path / "pets.parquet"
    pq.write_table(table(range(20)), path, row_group_size=6)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The folder of the test over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()
        thread.join()


def test_rows_become_images_and_labels(file: Path) -> None:
    data = load(file)
    assert (data.name, data.labels) == ("pets", ("cat", "dog"))
    assert whole(data) == expected(range(20))
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.test.targets.bincount().tolist() == [2, 2]


@pytest.mark.parametrize(
    ("changed", "labels"),
    [
        (table(range(20), kind=pa.binary()), ("cat", "dog")),
        (table(range(20), kind=pa.large_binary()), ("cat", "dog")),
        (table(range(20), names=None), ("0", "1")),
        (table(range(20), [10 - number % 2 for number in range(20)], names=None), ("9", "10")),
        (table(range(20), ["dc"[number % 2] for number in range(20)], names=None), ("c", "d")),
        (table(range(20), pa.array(["d", "c"] * 10).dictionary_encode(), names=None), ("c", "d")),
        (table(range(20), pa.array([0, 1] * 10, pa.uint8())), ("cat", "dog")),
        (table(range(20)).append_column("license", pa.array(["CC0"] * 20)), ("cat", "dog")),
        (table(range(20)).rename_columns(["picture", "labels"]), ("0", "1")),
    ],
)
def test_columns_of_other_kinds(changed: pa.Table, labels: tuple[str, ...], file: Path) -> None:
    pq.write_table(changed, file)
    data = load(file)
    assert data.labels == labels
    first = pixels(0).tobytes()
    assert (
        whole(data)[first]
        == labels[1 if str(changed["label" if "label" in changed.column_names else "labels"][0]) in ("10", "d") else 0]
    )
    assert set(whole(data)) == set(expected(range(20)))


def test_files_are_what_their_names_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pets" / "data"
    folder.mkdir(parents=True)
    for name, numbers in {
        "train-00000-of-00002": range(6),
        "train-00001-of-00002": range(6, 10),
        "test-00000-of-00001": range(10, 14),
        "validation-00000-of-00001": range(14, 16),
    }.items():
        pq.write_table(table(numbers), folder / f"{name}.parquet")
    data = load_data(folder.parent, image_size=8)
    assert data.name == "pets"
    np.testing.assert_array_equal(data.train.images.numpy(), [pixels(number) for number in range(10)])
    np.testing.assert_array_equal(data.test.images.numpy(), [pixels(number) for number in range(10, 14)])
    assert data.train.targets.tolist() == [number % 2 for number in range(10)]
    assert data.test.targets.tolist() == [0, 1, 0, 1]
    assert data.val
    np.testing.assert_array_equal(data.val.images.numpy(), [pixels(number) for number in range(14, 16)])
    assert capsys.readouterr().err == ""


def test_validation_images_stop_the_training(tmp_path: Path, run_kit: Kit) -> None:
    for part, numbers in {"train": range(12), "validation": range(12, 16), "test": range(16, 20)}.items():
        (tmp_path / "pets" / "default" / part).mkdir(parents=True)
        pq.write_table(table(numbers), tmp_path / "pets" / "default" / part / "0000.parquet")
    arguments = (
        "--data",
        tmp_path / "pets",
        "--image-size",
        "8",
        "--epochs",
        "2",
        "--solver",
        "sgd",
        "--device",
        "cpu",
    )
    result = run_kit("train", *arguments, "--no-report")
    assert result.exit_code == 0, result.stderr
    assert "pets: 12 training, 4 validation and 4 test images, 8×8×3, 2 labels: cat, dog" in result.stderr
    assert "val_loss" in Path("runs/pets/history.csv").read_text().splitlines()[0]


def test_columns_are_chosen(tmp_path: Path, run_kit: Kit) -> None:
    found = table(range(20)).rename_columns(["photo", "species"])
    found = found.append_column("mask", pa.array([png(20)] * 20)).append_column("label", pa.array([0, 1, 1, 0] * 5))
    pq.write_table(found, tmp_path / "pets.parquet")
    message = "expected one column of images, found photo, mask: choose one with --column"
    assert message in run_kit("train", "--data", tmp_path / "pets.parquet").stderr
    data = load(tmp_path / "pets.parquet", column="photo", label_column="species")
    assert {image: int(label) for image, label in whole(data).items()} == {
        image: NAMES.index(label) for image, label in expected(range(20)).items()
    }
    columns = ("--column", "photo", "--label-column", "species")
    settings = ("--image-size", "8", "--epochs", "1", "--device", "cpu", "--no-report")
    assert run_kit("train", "--data", tmp_path / "pets.parquet", *columns, *settings).exit_code == 0
    assert run_kit("export", "runs/pets").exit_code == 0
    arguments = ("--model", "runs/pets/model.onnx", "--data", tmp_path / "pets.parquet", "--json")
    report = json.loads(Path("runs/pets/report.json").read_text())
    found = json.loads(run_kit("evaluate", *arguments, *columns).stdout)
    assert (found["images"], found["accuracy"]) == (4, pytest.approx(report["figures"]["test_accuracy"]))
    assert message in run_kit("evaluate", *arguments).stderr


def test_images_in_files_beside(tmp_path: Path) -> None:
    (tmp_path / "pets" / "photos").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "pets" / "photos" / f"{number}.png").write_bytes(png(number))
    images = [{"bytes": None, "path": f"photos/{number}.png"} for number in range(20)]
    found = table(range(20)).set_column(0, "image", pa.array(images, STRUCT))
    pq.write_table(found, tmp_path / "pets" / "train.parquet")
    assert whole(load(tmp_path / "pets")) == expected(range(20))
    (tmp_path / "pets" / "photos" / "0.png").write_bytes(png(40))
    assert pixels(40).tobytes() in whole(load(tmp_path / "pets")), "a change is seen"


def test_classes_that_only_some_files_have(tmp_path: Path) -> None:
    pq.write_table(table(range(6), list("bbbddd"), names=None), tmp_path / "train-0.parquet")
    pq.write_table(table(range(6, 9), list("aab"), names=None), tmp_path / "train-1.parquet")
    pq.write_table(table(range(9, 11), list("da"), names=None), tmp_path / "test.parquet")
    data = load(tmp_path)
    assert data.labels == ("a", "b", "d")
    assert (data.train.targets.tolist(), data.test.targets.tolist()) == ([1, 1, 1, 2, 2, 2, 0, 0, 1], [2, 0])


def test_urls(file: Path, server: str) -> None:
    fsspec.filesystem("memory").pipe("/pets/part.parquet", file.read_bytes())
    for url in (f"{server}/pets.parquet", "memory://pets/part.parquet", "memory://pets", file.as_uri()):
        assert whole(load(url)) == expected(range(20)), url


def test_a_change_is_seen_and_nothing_else_decoded(file: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first = whole(load(file))
    monkeypatch.setattr(decode, "decode", lambda *_: pytest.fail("decoded"))
    assert whole(load(file)) == first
    monkeypatch.undo()
    monkeypatch.setenv("KIT_CACHE_DIR", str(cache))
    pq.write_table(table(range(20, 40)), file)
    assert whole(load(file)) == expected(range(20, 40))


def test_kit_train(file: Path, run_kit: Kit) -> None:
    result = run_kit("train", "--data", file, "--image-size", "8", "--epochs", "2", "--no-report", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["data"] == {"name": "pets", "train_images": 16, "test_images": 4}
    assert Path("runs/pets/model.safetensors").exists()


def test_images_that_cannot_be_read_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = range(400)
    images = [png(number) for number in numbers]
    images[7], images[350] = None, b"no image"  # type: ignore[call-overload]
    pq.write_table(table(numbers, images=images), tmp_path / "pets.parquet", row_group_size=100)
    for _ in ("decoded", "from the cache"):
        data = load(tmp_path / "pets.parquet")
        assert whole(data) == expected([number for number in numbers if number not in (7, 350)])
        said = capsys.readouterr().err
        assert "pets: left out 2 of 400 images" in said
        assert "pets.parquet row 7: expected the bytes of an encoded image, or a file 7.png in the" in said
        assert "pets.parquet row 350: expected an image file" in said


def write(path: Path, found: pa.Table, cut: int = 0) -> None:
    pq.write_table(found, path)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])


@pytest.mark.parametrize(
    ("found", "cut", "message"),
    [
        (
            table(range(9)).drop_columns("label"),
            0,
            "expected a column one of label, labels, class, class_name, category, target, found image: choose one with "
            "--label-column",
        ),
        (table(range(9)).drop_columns("image"), 0, "a column of encoded images: binary, or a struct of bytes and path"),
        (table(range(9), [0.5] * 9), 0, "expected label to be text or whole numbers, found double: cast it"),
        (table(range(9), [0, 1, None] * 3), 0, "row 2: expected a label, found null: fill it in, or leave the row out"),
        (
            table(range(9), [0, 1, -2] * 3),
            0,
            "expected a label of 0 to 1, which have names, or -1 for none, found -2 to 1",
        ),
        (table(range(9), [0, 1, 2] * 3), 0, "expected a label of 0 to 1, which have names, or -1 for none, found 0 to"),
        (table(range(9), [-1] * 9), 0, "expected labels, found images without any: fill them in"),
        (table(range(9), [0] * 9, names=None), 0, "expected at least 2 classes, found only 0: add others"),
        (
            table(range(9), [0] * 8 + [1]),
            0,
            "expected 2 or more readable training images of each class, found 1 of dog",
        ),
        (table(range(9), images=[None] * 9), 0, "expected at most 1% of the images to be unreadable, found 9 of 9"),
        (table([]), 0, "expected rows, found none: fetch the data again"),
        (table(range(9)), 30, "expected Parquet that can be read, found: Parquet magic bytes not found"),
        (table(range(9)).append_column("thumb", pa.array([b""] * 9)), 0, "expected one column of images"),
    ],
)
def test_bad_files(found: pa.Table, cut: int, message: str, tmp_path: Path, run_kit: Kit, cache: Path) -> None:
    path = tmp_path / "bad.parquet"
    write(path, found, cut)
    result = run_kit("train", "--data", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("kit: ")] == result.stderr.splitlines()[-1:]
    assert not Path("runs").exists()
    assert list(cache.glob("*")) == []


def test_a_file_damaged_in_the_middle(file: Path, run_kit: Kit, cache: Path) -> None:
    data = bytearray(file.read_bytes())
    data[200:600] = bytes(400)
    file.write_bytes(data)
    result = run_kit("train", "--data", file)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"kit: {file}")
    assert list(cache.glob("*")) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/pets.parquet",
        "memory://nothing/pets.parquet",
        "memory://nowhere",
        "nosuch://pets.parquet",
        "absent.parquet",
    ],
)
def test_what_cannot_be_reached(url: str, run_kit: Kit) -> None:
    result = run_kit("train", "--data", url)
    assert result.exit_code == 1
    loading, line = result.stderr.splitlines()
    assert loading.startswith("kit train: loading")
    assert line.startswith(f"kit: {url}: expected ")


@pytest.mark.spawns
def test_a_full_disk_leaves_nothing(file: Path, cache: Path) -> None:
    """Files may grow to 1,000 bytes only; 20 images take more."""
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from trainer import load_data
load_data(sys.argv[1])
"""
    result = run_python(code, file, environment=UNMEASURED)
    assert "DataError" in result.stderr.splitlines()[-1]
    assert "expected a place to write to" in result.stderr.splitlines()[-1]
    assert list(cache.glob("*")) == []


def test_without_pyarrow(file: Path, run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    result = run_kit("train", "--data", file)
    assert result.exit_code == 1
    assert "pip install 'softmax-kit[parquet]'" in result.stderr


def test_training_on_parquet_is_training_on_the_same_arrays(file: Path) -> None:
    from trainer import FitConfig, fit

    config = FitConfig(epochs=2, batch_size=4, device="cpu")
    data = load(file)
    rows = [split.images.numpy() for split in (data.train, data.test)]
    other = Dataset(
        name="pets",
        labels=data.labels,
        train=type(data.train)(torch.from_numpy(rows[0]), data.train.targets),
        test=type(data.test)(torch.from_numpy(rows[1]), data.test.targets),
    )
    assert torch.equal(fit(data, config).model.weights, fit(other, config).model.weights)
    assert issubclass(DataError, KitError)
    assert issubclass(InputError, KitError)
