"""What users' modules do, exported whole: it works, or the message names a remedy that works when followed."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import ExportError, ParityError, to_onnx, to_torchscript
from tests.export.subjects import Subject, Write, open_artefact, pictures

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-5


class Ends(torch.nn.Module):
    """A network, and a module that comes after it."""

    def __init__(self, network: torch.nn.Module, last: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.last = network, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.network(x))  # type: ignore[no-any-return]


class Around(torch.nn.Module):
    """A network to do something around."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network


class Cast(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.to(torch.float32))  # type: ignore[no-any-return]


class Constants(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) @ torch.eye(3)  # type: ignore[no-any-return]


class InPlace(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.sub_(0.25).add_(0.25))  # type: ignore[no-any-return]


class Halved(Around):
    """Computes in half precision on the way, which the file does too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.to(torch.float16).to(torch.float32))  # type: ignore[no-any-return]


class Rounding(Around):
    """Adds large numbers and takes them off again, in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x + 1000.0 - 1000.0)  # type: ignore[no-any-return]


class BatchFixed(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.reshape(2, 1, 12, 10))  # type: ignore[no-any-return]


class OneByOne(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.reshape(1, 1, 12, 10))  # type: ignore[no-any-return]


class Masked(Around):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.network(x * mask)  # type: ignore[no-any-return]


class Standardised(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x / x.std((1, 2, 3), keepdim=True))  # type: ignore[no-any-return]


class OnlyFloat32(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            raise TypeError("no")
        return self.network(x)  # type: ignore[no-any-return]


class Automatic(Around):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(x)
        return logits.float()  # type: ignore[no-any-return]


class Normalised(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.sum(1, keepdim=True)


class Small(torch.nn.Module):
    """Logits that happen to lie from 0 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.001 + 0.5


def exported(write: Write, network: Any, small: Subject, folder: Path, **said: Any) -> np.ndarray[Any, Any]:
    """Export, and return what the file answers for 16 images."""
    report = write(network, folder / "model", **small.about, **said)
    return open_artefact(report.path).probabilities(pictures(small.image))


def refused(write: Write, network: Any, small: Subject, folder: Path, message: str, **said: Any) -> None:
    with pytest.raises(ExportError, match=message):
        write(network, folder / "model", **small.about, **said)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("module", [Cast, Constants, InPlace, Halved])
def test_modules_that_compute_in_a_type_of_their_own(
    module: type[Around], small: Subject, write: Write, tmp_path: Path
) -> None:
    network = module(small.network)
    expected = Subject(network=network, about=small.about).probabilities(pictures(small.image))
    np.testing.assert_allclose(exported(write, network, small, tmp_path), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("wrap", [torch.compile, torch.nn.DataParallel])
def test_wrapped_modules(wrap: Callable[[Any], Any], small: Subject, write: Write, tmp_path: Path) -> None:
    """The same file as without."""
    first = write(small.network, tmp_path / "plain", **small.about)
    assert write(wrap(small.network), tmp_path / "model", **small.about).digest == first.digest


@pytest.mark.parametrize(
    "norm", [torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.parametrizations.spectral_norm]
)
def test_parametrised_modules(norm: Callable[..., Any], small: Subject, write: Write, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), norm(torch.nn.Linear(120, 3))).eval()
    expected = Subject(network=network, about=small.about).probabilities(pictures(small.image))
    np.testing.assert_allclose(exported(write, network, small, tmp_path), expected, rtol=0, atol=TOLERANCE)


def test_logits_that_are_nearly_equal(small: Subject, write: Write, tmp_path: Path) -> None:
    last = torch.nn.Linear(120, 3)
    with torch.no_grad():
        last.weight[:] = last.weight[0].clone()
        last.bias[:] = torch.tensor([0, 1e-8, 0])
    network = torch.nn.Sequential(torch.nn.Flatten(), last)
    np.testing.assert_allclose(exported(write, network, small, tmp_path), 1 / 3, rtol=0, atol=TOLERANCE)


def test_probabilities(small: Subject, write: Write, tmp_path: Path) -> None:
    """Refused as logits; the remedy gives the same probabilities as the logits do."""
    network = Ends(small.network, torch.nn.Softmax(dim=1))
    for said in ({}, {"outputs": "logits"}):
        refused(
            write, network, small, tmp_path, r'^expected logits, found probabilities, .*outputs="probabilities"', **said
        )
    found = exported(write, network, small, tmp_path, outputs="probabilities")
    np.testing.assert_allclose(found, small.probabilities(pictures(small.image)), rtol=0, atol=TOLERANCE)
    logarithms = Ends(small.network, torch.nn.LogSoftmax(dim=1))
    np.testing.assert_allclose(exported(write, logarithms, small, tmp_path), found, rtol=0, atol=TOLERANCE)


def test_a_sigmoid(small: Subject, write: Write, tmp_path: Path) -> None:
    network = Ends(small.network, torch.nn.Sigmoid())
    refused(
        write, network, small, tmp_path, r"^expected logits, found numbers from 0 to 1 for every image, as of a sigm"
    )
    refused(
        write,
        network,
        small,
        tmp_path,
        r"^expected probabilities of sum 1, .*: divide them by their sum",
        outputs="probabilities",
    )
    found = exported(write, Ends(network, Normalised()), small, tmp_path, outputs="probabilities")
    assert (found.argmax(1) == small.probabilities(pictures(small.image)).argmax(1)).all()
    kept = exported(write, network, small, tmp_path, outputs="logits")
    expected = Subject(network=network, about=small.about).probabilities(pictures(small.image))
    np.testing.assert_allclose(kept, expected, rtol=0, atol=TOLERANCE)


def test_small_logits_are_no_sigmoids(small: Subject, write: Write, tmp_path: Path) -> None:
    network = Ends(small.network, Small())
    expected = Subject(network=network, about=small.about).probabilities(pictures(small.image))
    np.testing.assert_allclose(exported(write, network, small, tmp_path), expected, rtol=0, atol=TOLERANCE)


def test_one_output_for_two_classes(small: Subject, write: Write, tmp_path: Path) -> None:
    """Both remedies of the message, for a logit and for a probability, give the sigmoid."""
    torch.manual_seed(0)
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1))
    two = Subject(network=first, about=small.about | {"labels": ["no", "yes"]})

    class OfALogit(Around):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.network(x)[:, 0]
            return torch.stack([-z / 2, z / 2], 1)

    class OfAProbability(Around):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            p = self.network(x).sigmoid()[:, 0]
            return torch.stack([1 - p, p], 1)

    refused(
        write, first, two, tmp_path, r"^expected logits \[2, 2\] .*, found one number an image, \[2, 1\]: return two"
    )
    with torch.no_grad():
        expected = first(two.normalised(pictures(two.image)))[:, 0].sigmoid()
    if write is to_onnx:  # torch.jit cannot read classes in a function
        logit = exported(write, OfALogit(first), two, tmp_path)
        probability = exported(write, OfAProbability(first), two, tmp_path, outputs="probabilities")
        for found in (logit, probability):
            np.testing.assert_allclose(found[:, 1], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            BatchFixed,
            r"^expected a module for any batch size, found one that fails for 1 and 3 images \(RuntimeError: ",
        ),
        (OneByOne, r"^expected a module for any batch size, found one that fails for 2 and 3 images \(RuntimeError: "),
        (Masked, r"^expected a module that takes images \[N, 1, 12, 10\] in float32, .*'mask'.* let it take images "),
        (
            OnlyFloat32,
            r"^expected a module that computes in float64 too, .* \(TypeError: no\): let it compute in the d",
        ),
        (Standardised, r"^expected finite probabilities, found NaN or infinity for 2 images, first for the all-black "),
    ],
)
def test_modules_that_are_refused(
    module: type[Around], message: str, small: Subject, write: Write, tmp_path: Path
) -> None:
    refused(write, module(small.network), small, tmp_path, message)


def test_a_quantised_module(small: Subject, write: Write, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated
        network = torch.ao.quantization.quantize_dynamic(
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 3)), {torch.nn.Linear}, torch.qint8
        )
    refused(write, network, small, tmp_path, r"or export it as it was before it was quantised$")


@pytest.mark.parametrize(("value", "where"), [(torch.nan, "weight"), (torch.inf, "bias")])
def test_numbers_that_are_not_finite(value: float, where: str, small: Subject, write: Write, tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 3))
    with torch.no_grad():
        network[1].get_parameter(where).view(-1)[0] = value
    message = (
        rf"^expected finite outputs, found NaN or infinity for golden example 0, and in its '1\.{where}': load or tr"
    )
    refused(write, network, small, tmp_path, message)


@pytest.mark.parametrize("module", [Rounding, Automatic])
def test_the_tolerance_that_the_message_names_is_enough(module: type[Around], small: Subject, tmp_path: Path) -> None:
    network = module(small.network)
    with pytest.raises(ParityError, match=r" export with --tolerance (\S+) \(tolerance=\1 in Python\)") as raised:
        to_torchscript(network, tmp_path / "model", **small.about)
    (named,) = re.findall(r"tolerance=(\S+) in Python", str(raised.value))
    report = to_torchscript(network, tmp_path / "model", **small.about, tolerance=float(named))
    assert TOLERANCE < report.parity.max_difference <= float(named)


def test_a_file_that_onnxruntime_does_not_load(small: Subject, tmp_path: Path) -> None:
    message = (
        r"^expected a module whose file runs, found one whose file does not \(.*\): let it compute in float32, witho"
    )
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 3))
    refused(to_onnx, Automatic(network), small, tmp_path, message)
