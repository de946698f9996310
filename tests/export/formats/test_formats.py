"""What all formats share: the trained model's answers, and the same bytes each time."""

import dataclasses
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from export import export
from export.formats import FORMATS
from runtime.artefact import INPUT
from tests.formats import FILES
from tests.interpreter import run_python
from trainer import Checkpoint, Dataset, Fit, fit, save_checkpoint

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# The model in torch normalises pixels and then multiplies, an artefact multiplies folded weights: float32 rounds
# otherwise in each. `pytest -rP` on this file prints what is seen.
TOLERANCE = 1e-5
FLOATS = [name for name, kind in FORMATS.items() if kind.agreement == 1]


def opened(name: str) -> Callable[[dict[str, Path]], Run]:
    """Open the artefact of a format as `export` does to check it."""

    def through(files: dict[str, Path]) -> Run:
        run: Run = FORMATS[name].load().open_artefact(files[name]).probabilities
        return run

    through.__name__ = name
    return through


class Flatten(OpRun):
    """Flatten as the standard has it; the evaluator's own cannot take a batch of 0."""

    def _run(self, x: NDArray[np.float32], axis: int = 1) -> tuple[NDArray[np.float32]]:
        return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


def through_reference(files: dict[str, Path]) -> Run:
    proto = onnx.load(files["onnx"])

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        evaluator = ReferenceEvaluator(proto, new_ops=None if len(images) else [Flatten])
        outputs = evaluator.run(None, {INPUT: images})
        assert isinstance(outputs, list)
        return np.asarray(outputs[0])

    return run


RUNNERS = [*map(opened, FLOATS), through_reference]


def assert_parity(run: Run, fitted: Fit, images: NDArray[np.uint8]) -> None:
    found, expected = run(images), fitted.model.probabilities(torch.from_numpy(images)).numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if len(images):
        print(f"{len(images)} images, largest difference in probability {np.abs(found - expected).max():.1e}")
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


@pytest.fixture(scope="session")
def fashion_fit(fashion: Dataset) -> Fit:
    return fit(fashion)


@pytest.fixture(scope="session")
def fashion_exported(fashion_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fashion")
    return {name: export(fashion_fit.checkpoint, name, folder / name).path for name in FILES}


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_whole_test_split_of_digits(
    runner: Callable[..., Run], exported: dict[str, Path], digits_fit: Fit, digits: Dataset
) -> None:
    assert_parity(runner(exported), digits_fit, digits.test.images.numpy())


@pytest.mark.parametrize("runner", RUNNERS)
def test_all_test_images_of_fashion_mnist(
    runner: Callable[..., Run], fashion_exported: dict[str, Path], fashion_fit: Fit, fashion: Dataset
) -> None:
    assert_parity(runner(fashion_exported), fashion_fit, fashion.test.images.numpy())


@pytest.mark.parametrize("batch", [0, 1, 2, 257])
@pytest.mark.parametrize("runner", RUNNERS)
def test_batch_sizes(
    runner: Callable[..., Run], batch: int, exported: dict[str, Path], digits_fit: Fit, digits: Dataset
) -> None:
    assert_parity(runner(exported), digits_fit, digits.test.images.numpy()[:batch])


@pytest.mark.parametrize("kind", ["black", "white", "random"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_images_that_no_data_set_holds(
    runner: Callable[..., Run], kind: str, exported: dict[str, Path], digits_fit: Fit
) -> None:
    images = {
        "black": np.zeros((1, 8, 8, 1), np.uint8),
        "white": np.full((1, 8, 8, 1), 255, np.uint8),
        "random": np.random.default_rng(7).integers(0, 256, (500, 8, 8, 1), np.uint8),
    }[kind]
    assert_parity(runner(exported), digits_fit, images)


@pytest.mark.parametrize("format", FLOATS)
def test_colour_images(format: str, tiny: Dataset, tmp_path: Path) -> None:  # noqa: A002
    """The channels have different statistics, so that a fold over the wrong axis shows."""
    images = tiny.train.images[:] // torch.tensor([1, 2, 4], dtype=torch.uint8)
    split = dataclasses.replace(tiny.train, images=images)
    fitted = fit(dataclasses.replace(tiny, train=split, test=split))
    files = {format: export(fitted.checkpoint, format, tmp_path / "model").path}
    assert_parity(opened(format)(files), fitted, images.numpy())


ROOT = Path(__file__).parents[3]
PACKAGES = ("export", "runtime", "trainer")


@pytest.mark.spawns
def test_the_same_bytes_each_time(checkpoint: Checkpoint, exported: dict[str, Path], tmp_path: Path) -> None:
    """In another process, folder and hash seed, from the kit installed elsewhere, and twice in one process."""
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / "elsewhere" / package)
    code = """
import export.exporting
from trainer import load_checkpoint
for _ in range(2):
    for name in sys.argv[2:]:
        export.export(load_checkpoint(sys.argv[1]), name, f"{name}{_}")
print(export.__file__)
"""
    environment = {"PYTHONHASHSEED": "2", "PYTHONPATH": str(tmp_path / "elsewhere")}
    result = run_python(code, tmp_path / "model.safetensors", *FILES, cwd=tmp_path, environment=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path))
    for name, path in exported.items():
        for number in range(2):
            assert (tmp_path / f"{name}{number}").read_bytes() == path.read_bytes(), name


@pytest.mark.parametrize("name", list(FILES))
def test_nothing_of_this_machine_in_it(name: str, exported: dict[str, Path]) -> None:
    path = exported[name]
    contents = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            assert {item.date_time[0] for item in file.infolist()} == {1980}
            contents += [file.read(name) for name in file.namelist()]
    for content in contents:
        for place in (ROOT, path.parent, Path.home(), "site-packages"):
            assert str(place).encode() not in content
