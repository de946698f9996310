"""What the tests of modules of torch share."""

from collections.abc import Iterator

import pytest
import torch

from export import to_onnx, to_torchscript
from tests.export.subjects import Subject, Write, greyscale


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """A second one makes float64 convolutions slower wherever the processor has other work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def small() -> Subject:
    return greyscale()


@pytest.fixture(scope="module", params=[to_onnx, to_torchscript], ids=lambda write: str(write.__name__))
def write(request: pytest.FixtureRequest) -> Write:
    function: Write = request.param
    return function
