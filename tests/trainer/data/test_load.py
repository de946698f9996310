"""Data sets: by name, from files in torchvision's layout, and from what is missing or damaged."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image

from tests.interpreter import run_python
from trainer import DataError, Dataset, load_data

RAW = Path("FashionMNIST") / "raw"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write_idx(folder: Path, images: int = 20, labels: int | None = None) -> None:
    """Lay out a small data set as Fashion-MNIST's IDX files."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), np.uint8)
    targets = np.arange(images if labels is None else labels, dtype=np.uint8) % 10
    for half in ("train", "t10k"):
        header = struct.pack(">HBBIII", 0, 8, 3, *pixels.shape)
        (folder / f"{half}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">HBBI", 0, 8, 1, len(targets))
        (folder / f"{half}-labels-idx1-ubyte").write_bytes(header + targets.tobytes())


def test_digits_are_scikit_learns_scaled_to_bytes(digits: Dataset) -> None:
    source = sklearn.datasets.load_digits()
    assert digits.labels == tuple("0123456789")
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.train.images.shape[1:] == (8, 8, 1)
    found = torch.cat([digits.train.images[:], digits.test.images[:]]).numpy().reshape(1797, -1)
    expected = np.round(source.data / 16 * 255).astype(np.uint8)
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected))
    assert np.bincount(digits.test.targets).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


def test_the_test_split_of_digits_never_changes(digits: Dataset) -> None:
    again = load_data("digits")
    assert torch.equal(again.test.images[:], digits.test.images[:])
    assert torch.equal(again.test.targets, digits.test.targets)


def test_fashion_mnist_from_files(tmp_path: Path) -> None:
    write_idx(tmp_path / RAW)
    data = load_data("fashion-mnist", data_dir=tmp_path)
    assert data.labels[:2] == ("T-shirt/top", "Trouser")
    assert (data.train.images.shape, data.train.images.dtype) == ((20, 28, 28, 1), torch.uint8)
    assert data.train.targets.tolist() == list(range(10)) * 2
    assert data.contract.shape == (28, 28, 1)
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    np.testing.assert_array_equal(data.test.images[:][..., 0].numpy(), expected)


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / RAW)
    monkeypatch.setenv("KIT_DATA_DIR", str(tmp_path))
    assert len(load_data("fashion-mnist").train) == 20


def test_the_real_fashion_mnist(fashion: Dataset) -> None:
    assert (len(fashion.train), len(fashion.test)) == (60_000, 10_000)
    assert torch.bincount(fashion.train.targets).tolist() == [6000] * 10


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every download fail at once, as on a machine with no network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.usefixtures("no_network")
def test_files_that_are_missing_and_cannot_be_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        load_data("fashion-mnist", data_dir=folder)
    message = str(caught.value)
    assert all(name in message for name in FILES)
    assert str(folder / RAW) in message
    assert "--data digits" in message
    assert not folder.exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 3, 100])
def test_files_that_are_truncated(tmp_path: Path, name: str, size: int) -> None:
    write_idx(tmp_path / RAW, images=200)
    path = tmp_path / RAW / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="train-images-idx3-ubyte, train-labels-idx1-ubyte"):
        load_data("fashion-mnist", data_dir=tmp_path)


def test_labels_of_another_number(tmp_path: Path) -> None:
    write_idx(tmp_path / RAW, labels=19)
    with pytest.raises(
        DataError, match=re.escape("training targets: expected int64 [20], one an image, found int64 [19]")
    ):
        load_data("fashion-mnist", data_dir=tmp_path)


def test_an_unknown_name() -> None:
    with pytest.raises(
        DataError,
        match=r"expected one of fashion-mnist, .*, digits, or a folder, .* or Parquet, found 'imagenet'",
    ):
        load_data("imagenet")


@pytest.mark.spawns
def test_torch_and_torchvision_that_do_not_match() -> None:
    code = """
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
sys.meta_path.insert(0, Broken())
from trainer import DataError, load_data
try:
    load_data("fashion-mnist")
except DataError as error:
    print(error)
"""
    result = run_python(code)
    assert "expected a matching pair of torch and torchvision" in result.stdout, result.stderr


@pytest.mark.parametrize(
    ("sizes", "fit", "advised"),
    [
        ([(30, 20), (20, 30), (20, 20)], None, 4),
        ([(30, 20), (20, 20), (29, 20)], None, None),
        ([(30, 20), (20, 30), (20, 20)], "stretch", None),
        ([(30, 20), (20, 30), (20, 20)], "crop", None),
    ],
)
def test_another_fit_is_recommended_where_most_training_images_are_far_from_square(
    sizes: list[tuple[int, int]],
    fit: str | None,
    advised: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KIT_CACHE_DIR", str(tmp_path / "cache"))
    for part, of in (("train", sizes), ("test", [(90, 20)] * 9)):
        for label in ("day", "night"):
            folder = tmp_path / "photos" / part / label
            folder.mkdir(parents=True)
            for number, size in enumerate(of):
                Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")
    for _ in range(2):  # the second time from the cache
        load_data(tmp_path / "photos", fit=fit)
        told = capsys.readouterr().err
        assert ("--fit crop or --fit pad" in told) == (advised is not None)
        assert f"photos: {advised} of 6 training images have a side at least 1.5 times" in told or not advised
