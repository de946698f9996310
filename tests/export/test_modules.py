"""Any classifier that is a torch module, as an artefact: against torch itself."""

import copy
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import runtime
from export import ExportReport, to_onnx
from export.formats.compatibility import release
from export.modules import About
from runtime.session import onnxruntime
from tests.export.subjects import (
    Subject,
    Write,
    colour,
    greyscale,
    mobilenet,
    open_artefact,
    pictures,
)
from tests.interpreter import run_python

ROOT = Path(__file__).parents[2]
NEWEST = release(onnxruntime().__version__).opset

# torch in float32 and an artefact of it round otherwise; seen: 3e-06.
TOLERANCE = 1e-5

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(
    scope="module",
    params=[pytest.param(mobilenet, marks=pytest.mark.slow), colour, greyscale],
    ids=lambda make: str(make.__name__),
)
def make(request: pytest.FixtureRequest) -> Callable[[], Subject]:
    function: Callable[[], Subject] = request.param
    return function


@pytest.fixture(scope="module")
def subject(make: Callable[[], Subject]) -> Subject:
    return make()


@pytest.fixture(scope="module")
def report(subject: Subject, write: Write, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return write(subject.network, tmp_path_factory.mktemp("modules") / "model", **subject.about)


@pytest.mark.parametrize("count", [1, 16])
def test_it_answers_as_torch_does(count: int, subject: Subject, report: ExportReport) -> None:
    pixels = pictures(subject.image)
    expected = subject.probabilities(pixels)
    assert (np.ptp(expected, axis=0) > 0.05).all()  # images that it tells apart
    found = open_artefact(report.path).probabilities(pixels[:count])
    assert found.shape == (count, len(subject.about["labels"]))
    assert found.dtype == np.float32
    print(f"{count} images, largest difference {np.abs(found - expected[:count]).max():.1e}")
    np.testing.assert_allclose(found, expected[:count], rtol=0, atol=TOLERANCE)


def test_an_image_file_of_another_size(subject: Subject, report: ExportReport, tmp_path: Path) -> None:
    size = (90, 70)
    picture = Image.fromarray(pictures(subject.image, 1)[0].squeeze()).resize(size).convert("RGB")
    picture.save(tmp_path / "picture.png")
    fitted = picture.convert(subject.image.color).resize(
        (subject.image.width, subject.image.height), Image.Resampling.BILINEAR
    )
    expected = subject.probabilities(np.asarray(fitted).reshape(1, *subject.image.shape))[0]
    artefact = open_artefact(report.path)
    found = artefact.probabilities(artefact.metadata.image.pixels(tmp_path / "picture.png")[None])[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    if report.format == "onnx":
        prediction = runtime.classify(tmp_path / "picture.png", model=report.path)
        assert prediction.label == subject.about["labels"][int(expected.argmax())]
        assert prediction.probability == found.max()


def test_the_report(subject: Subject, report: ExportReport) -> None:
    assert report.size == report.path.stat().st_size
    assert (report.tolerance, report.proof, report.verification) == (1e-5, None, None)
    assert report.parity.max_difference < 1e-5
    assert report.parity.images > 30
    assert open_artefact(report.path).metadata.provenance == {"module": type(subject.network).__name__}


def test_without_examples(subject: Subject, report: ExportReport) -> None:
    metadata = open_artefact(report.path).metadata
    assert metadata.pixel_statistics is None
    assert metadata.image == subject.image
    expected = subject.probabilities(metadata.golden.images)
    np.testing.assert_allclose(metadata.golden.probabilities, expected, rtol=0, atol=TOLERANCE)
    if report.format == "onnx":
        classifier = runtime.load(report.path)
        assert classifier.selftest() <= 1e-5
        assert classifier.info()["labels"] == list(subject.about["labels"])


def test_with_examples_provenance_and_a_tolerance(small: Subject, write: Write, tmp_path: Path) -> None:
    examples = pictures(small.image, 5)
    said: dict[str, Any] = {"examples": examples, "provenance": {"data": {"name": "smooth", "size": (10, 12)}}}
    report = write(small.network, tmp_path / "model", **small.about, **said, tolerance=1e-3)
    metadata = open_artefact(report.path).metadata
    np.testing.assert_array_equal(metadata.golden.images, examples)
    np.testing.assert_allclose(metadata.golden.probabilities, small.probabilities(examples), rtol=0, atol=TOLERANCE)
    assert (metadata.golden.tolerance, report.tolerance) == (1e-3, 1e-3)
    assert metadata.pixel_statistics is not None
    np.testing.assert_allclose(metadata.pixel_statistics.mean, [examples.mean()], rtol=1e-12)
    np.testing.assert_allclose(metadata.pixel_statistics.std, [examples.std()], rtol=1e-12)
    assert metadata.provenance == {"module": "Sequential", "data": {"name": "smooth", "size": [10, 12]}}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_module_stays_as_it_is(
    dtype: torch.dtype, small: Subject, write: Write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = copy.deepcopy(small.network).to(dtype)
    network[5].eval()  # type: ignore[index]
    before = copy.deepcopy(network)
    report = write(network, tmp_path / "model", **small.about)
    assert [layer.training for layer in network.modules()] == [layer.training for layer in before.modules()]
    for name, tensor in before.state_dict().items():
        found = network.state_dict()[name]
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found, tensor)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    single = Subject(network=copy.deepcopy(network).float(), about=small.about)
    pixels = pictures(small.image)
    found = open_artefact(report.path).probabilities(pixels)
    np.testing.assert_allclose(found, single.probabilities(pixels), rtol=0, atol=TOLERANCE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.spawns
@pytest.mark.slow
@pytest.mark.parametrize("make", [greyscale, mobilenet], indirect=True)
def test_the_same_bytes_each_time(
    make: Callable[[], Subject], write: Write, report: ExportReport, tmp_path: Path
) -> None:
    """In another process, folder and hash seed, from the kit installed elsewhere, and twice in one process."""
    for package in ("export", "runtime", "trainer"):
        shutil.copytree(ROOT / package, tmp_path / "elsewhere" / package)
    code = f"""
import export
from tests.export.subjects import {make.__name__}
for number in range(2):
    subject = {make.__name__}()
    export.{write.__name__}(subject.network, f"model{{number}}", **subject.about)
print(export.__file__)
"""
    variables = {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join([str(tmp_path / "elsewhere"), str(ROOT)])}
    result = run_python(code, cwd=tmp_path, environment=variables | {"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path))
    for number in range(2):
        assert (tmp_path / f"model{number}").read_bytes() == report.path.read_bytes()


def test_nothing_of_this_machine_in_it(report: ExportReport) -> None:
    contents = [report.path.read_bytes()]
    if zipfile.is_zipfile(report.path):
        with zipfile.ZipFile(report.path) as file:
            assert {item.date_time for item in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            contents += [file.read(name) for name in file.namelist()]
    for content in contents:
        for place in (ROOT, report.path.parent, Path.home(), "site-packages", "raw_pixels.py", "mobilenetv3"):
            assert str(place).encode() not in content
        assert not re.search(rb"20\d\d-[01]\d-[0-3]\d", content)


@pytest.mark.parametrize(
    ("said", "opset"),
    [
        ({}, 18),
        ({"target_ort": "1.15"}, 18),
        ({"opset": 20, "target_ort": "1.17"}, 20),
        ({"opset": NEWEST}, NEWEST),
    ],
)
def test_opset_and_ir_version(
    said: dict[str, Any], opset: int, small: Subject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = to_onnx(small.network, tmp_path / "model.onnx", **small.about, **said).path
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, [(item.domain, item.version) for item in proto.opset_import]) == (7, [("", opset)])
    assert (proto.producer_name, proto.producer_version, proto.doc_string) == ("softmax-kit", "", "")
    assert {f"kit.{name}" for name in runtime.artefact.ENTRIES} <= {item.key for item in proto.metadata_props}
    assert runtime.load(path).selftest() <= 1e-5
    assert capfd.readouterr() == ("", "")


def test_every_setting_is_read(small: Subject, write: Write, tmp_path: Path) -> None:
    chosen = {
        "mean": [0.5],
        "std": [0.5],
        "examples": pictures(small.image, 2),
        "provenance": {},
        "tolerance": 1e-4,
        "outputs": "logits",
    }
    about = small.about | chosen
    assert set(about) == set(About.__annotations__)
    write(small.network, tmp_path / "model", **about)
