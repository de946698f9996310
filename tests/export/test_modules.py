"""Any classifier that is a torch module, as an artefact: against torch itself, and what cannot be exported."""

import copy
import inspect
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image

import runtime
from export import ExportError, ExportReport, ParityError, to_onnx, to_torchscript
from export.compatibility import release
from export.formats import torchscript
from export.parity import Artefact
from runtime import ArtefactError, ImageContract, KitError
from runtime.session import onnxruntime
from tests.interpreter import run_python

ROOT = Path(__file__).parents[2]
NEWEST = release(onnxruntime().__version__).opset
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's

# torch in float32 and an artefact of it round otherwise; seen: 3e-06.
TOLERANCE = 1e-5

Write = Callable[..., ExportReport]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module and what is said about it."""

    network: torch.nn.Module
    about: dict[str, Any]

    @property
    def image(self) -> ImageContract:
        image: ImageContract = self.about["image"]
        return image

    def normalised(self, pixels: Pixels) -> torch.Tensor:
        """uint8 [N, H, W, C] → float32 [N, C, H, W]."""
        mean, std = (torch.tensor(self.about.get(name, [plain])) for name, plain in (("mean", 0.0), ("std", 1.0)))
        x = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
        return (x - mean[:, None, None]) / std[:, None, None]

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """torch's own answer, eager, in float32: uint8 [N, H, W, C] → [N, K]."""
        with torch.no_grad():
            logits = copy.deepcopy(self.network).eval()(self.normalised(pixels))
        result: NDArray[np.float32] = logits.softmax(1).numpy()
        return result


def pictures(image: ImageContract, count: int = 16, seed: int = 0) -> Pixels:
    """Smooth images; on noise, networks say the same for every image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, image.channels), np.uint8)
    smooth = [
        Image.fromarray(picture.squeeze()).resize((image.width, image.height), Image.Resampling.BICUBIC)
        for picture in coarse
    ]
    return np.stack([np.asarray(picture).reshape(image.shape) for picture in smooth])


def with_statistics(subject: Subject) -> Subject:
    """Give the batch norms random weights, and the statistics that go with them."""
    for layer in subject.network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.1)
            layer.momentum = None  # an average over all, which is one batch
    with torch.no_grad():
        subject.network(subject.normalised(pictures(subject.image, seed=1)))
    return subject


def mobilenet() -> Subject:
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_small(weights=None, num_classes=5)
    torch.nn.init.normal_(network.classifier[-1].weight, std=0.5)
    image = ImageContract(height=64, width=64, color="RGB")
    about = {"labels": ("a", "b", "c", "d", "e"), "image": image, "mean": MEAN, "std": STD}
    return with_statistics(Subject(network=network, about=about))


def greyscale() -> Subject:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(16, 3),
    )
    about = {"labels": ["x", "y", "z"], "image": ImageContract(height=12, width=10)}
    return with_statistics(Subject(network=network, about=about))


def open_artefact(path: Path) -> Artefact:
    """Open a file of either format with what users run it with."""
    return torchscript.open_artefact(path) if zipfile.is_zipfile(path) else runtime.load(path)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """A second one makes float64 convolutions slower wherever the processor has other work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[mobilenet, greyscale], ids=lambda make: str(make.__name__))
def make(request: pytest.FixtureRequest) -> Callable[[], Subject]:
    function: Callable[[], Subject] = request.param
    return function


@pytest.fixture(scope="module")
def subject(make: Callable[[], Subject]) -> Subject:
    return make()


@pytest.fixture(scope="module")
def small() -> Subject:
    return greyscale()


@pytest.fixture(scope="module", params=[to_onnx, to_torchscript], ids=lambda write: str(write.__name__))
def write(request: pytest.FixtureRequest) -> Write:
    function: Write = request.param
    return function


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
from tests.export.test_modules import {make.__name__}
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


class Otherwise(torch.nn.Module):
    """Gives other answers in the exported file than in torch."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = 2
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            factor = 2 if torch.onnx.is_in_onnx_export() else 1
        return factor * self.network(x)  # type: ignore[no-any-return]


class Random(Otherwise):
    """Drops out in evaluation too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.network(x), training=True)


class OneBranch(Otherwise):
    """Decides by the values of the image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) if float(x.mean()) > 0.5 else self.network(-x)  # type: ignore[no-any-return]


class PairsOnly(Otherwise):
    """Treats a batch of two in another way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.reshape(2, 1, 12, 10) if len(x) == 2 else x)  # type: ignore[no-any-return]


class Numpy(Otherwise):
    """Leaves torch on the way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = np.argsort([float(row.mean()) for row in x.numpy()])
        return self.network(x[order.tolist()])  # type: ignore[no-any-return]


class Pair(Otherwise):
    """Gives more than logits."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return self.network(x), x


class Single(Otherwise):
    """Computes in float32 whatever it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.float())  # type: ignore[no-any-return]


def corrupted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make torch.onnx.export return a model with one weight that is off."""

    def export(*arguments: Any, **named: Any) -> Any:
        model = function(*arguments, **named).model_proto
        weights = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
        weights.flat[0] += 0.5
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name))
        return SimpleNamespace(model_proto=model)

    return export


def assert_stopped(
    network: Any, write: Write, about: dict[str, Any], folder: Path, kind: type[KitError], message: str
) -> None:
    """An export that fails leaves the older file as it is, and nothing else."""
    path = folder / "model"
    path.write_bytes(b"older")
    with pytest.raises(kind, match=message):
        write(network, path, **about)
    assert path.read_bytes() == b"older"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("module", [Otherwise, Random])
def test_a_file_that_answers_otherwise_is_not_kept(
    module: type[Otherwise], small: Subject, write: Write, tmp_path: Path
) -> None:
    message = r"expected probabilities within 1e-05 of .*, found a difference of .*: the file was not kept"
    assert_stopped(module(small.network), write, small.about, tmp_path, ParityError, message)


def test_a_file_with_a_wrong_weight_is_not_kept(
    small: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.onnx, "export", corrupted(torch.onnx.export))
    message = r"expected probabilities within 1e-05 of .*, found a difference of .*: the file was not kept"
    assert_stopped(small.network, to_onnx, small.about, tmp_path, ParityError, message)
    path = to_onnx(small.network, tmp_path / "model", **small.about, tolerance=0.9).path
    assert runtime.load(path).selftest() > 1e-3


@pytest.mark.parametrize(
    ("module", "write", "message"),
    [
        (
            OneBranch,
            to_onnx,
            r"that torch.onnx.export can write, found one that fails \(Guard.*: change the module, or ",
        ),
        (PairsOnly, to_onnx, r"for any number of images, found that torch can only export it for 2 at a time: let "),
        (Numpy, to_onnx, r"that torch.onnx.export can write, found one that fails .*, or take to_torchscript$"),
        (Numpy, to_torchscript, r"that torch.jit.script can read, found one that fails .*, or take to_onnx$"),
        (
            Pair,
            to_onnx,
            r"that takes images \[N, 1, 12, 10\], .* \(TypeError: softmax\(\): .*not tuple\): say the size",
        ),
        (Single, to_torchscript, r".* in float32 as in float64, .* and let it compute in the dtype of its input$"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_modules_that_cannot_be_exported(
    module: type[Otherwise],
    write: Write,
    message: str,
    small: Subject,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    network = module(small.network)
    assert_stopped(network, write, small.about, tmp_path, ExportError, f"^expected a module {message}")
    assert capfd.readouterr() == ("", "")


COLOUR, UNNAMED = (
    ImageContract(height=12, width=10, color="RGB"),
    "kit.labels: expected at least 2 different, non-empty",
)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ({"labels": ["x", "y"]}, ExportError, "expected logits [2, 2] for 2 images and 2 labels, found [2, 3]: give a"),
        ({"labels": []}, ExportError, "expected logits [2, 0] for 2 images and 0 labels, found [2, 3]"),
        ({"labels": ["x", "y", "x"]}, ArtefactError, UNNAMED),
        ({"labels": ["x", "y", ""]}, ArtefactError, UNNAMED),
        ({"labels": ["x", "y", 3]}, ArtefactError, UNNAMED),
        (
            {"image": COLOUR},
            ExportError,
            "expected a module that takes images [N, 3, 12, 10], in float32 as in float64",
        ),
        (
            {"examples": np.zeros((2, 12, 12, 1), np.uint8)},
            ExportError,
            "expected examples of uint8 [G, 12, 10, 1], at least one, found uint8 [2, 12, 12, 1]: pass raw pixels of",
        ),
        ({"examples": np.zeros((2, 12, 10, 1))}, ExportError, "found float64 [2, 12, 10, 1]: pass raw pixels"),
        ({"examples": np.zeros((12, 10, 1), np.uint8)}, ExportError, "found uint8 [12, 10, 1]"),
        ({"examples": np.zeros((0, 12, 10, 1), np.uint8)}, ExportError, "at least one, found uint8 [0, 12, 10, 1]"),
        (
            {"mean": MEAN},
            ExportError,
            "expected mean and std of 1 finite numbers, std above 0, found [0.485, 0.456, 0.406] and [1.0]: give one a",
        ),
        ({"mean": [float("nan")]}, ExportError, "expected mean and std of 1 finite numbers, std above 0, found [nan]"),
        ({"std": [0]}, ExportError, "expected mean and std of 1 finite numbers, std above 0, found [0.0] and [0.0]"),
        ({"tolerance": 0}, ExportError, "expected a tolerance above 0 and below 1, found 0"),
        ({"provenance": {"file": Path("x")}}, ExportError, "expected a provenance that is JSON, found one that is not"),
        ({"provenance": {"loss": float("nan")}}, ExportError, "expected a provenance that is JSON"),
    ],
)
def test_what_cannot_be_said_of_a_module(
    said: dict[str, Any], kind: type[KitError], message: str, small: Subject, write: Write, tmp_path: Path
) -> None:
    assert_stopped(small.network, write, small.about | said, tmp_path, kind, re.escape(message))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"opset": 20, "target_ort": "1.15"}, "to 18, which onnxruntime 1.15 loads, found 20"),
        ({"opset": 17}, "expected an opset from 18, the oldest that torch's exporter writes, found 17: leave it out"),
        ({"opset": NEWEST + 1}, f"found {NEWEST + 1}"),
        ({"target_ort": "1.14"}, "expected onnxruntime 1.15 or newer, found 1.14"),
    ],
)
def test_opsets_that_cannot_be_written(said: dict[str, Any], message: str, small: Subject, tmp_path: Path) -> None:
    assert_stopped(small.network, to_onnx, small.about | said, tmp_path, ExportError, re.escape(message))


def test_an_opset_that_torch_falls_back_from(small: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **named: function(*given, **named | {"opset_version": 18}))
    message = "expected opset 20, found that torch writes this module in 18: choose that"
    assert_stopped(small.network, to_onnx, small.about | {"opset": 20}, tmp_path, ExportError, message)


@pytest.mark.parametrize(("said", "name"), [({"means": [0.5]}, "means"), ({"labels": None}, "labels")])
def test_misspelt_and_missing_settings(
    said: dict[str, Any], name: str, small: Subject, write: Write, tmp_path: Path
) -> None:
    about = {key: value for key, value in (small.about | said).items() if value is not None}
    with pytest.raises(TypeError, match=f"'{name}'"):
        write(small.network, tmp_path / "model", **about)


def test_a_missing_extra(tmp_path: Path) -> None:
    code = """
from export import to_onnx
from tests.export.test_modules import greyscale
subject = greyscale()
try:
    to_onnx(subject.network, "model.onnx", **subject.about)
except ImportError as error:
    print(error)
"""
    result = run_python(code, cwd=tmp_path, without=["onnxscript"], environment={"PYTHONPATH": str(ROOT)})
    message = "exporting a module to ONNX needs onnxscript, which is not installed: pip install 'softmax-kit[train]'"
    assert (result.returncode, result.stdout) == (0, f"{message}\n"), result.stderr


def test_what_can_be_said_is_what_is_read() -> None:
    from export import modules

    read = inspect.signature(modules._subject).parameters
    assert set(modules.About.__annotations__) == set(read) - {"module"}
    assert modules.About.__required_keys__ == {
        name for name, item in read.items() if item.default is item.empty and name != "module"
    }
