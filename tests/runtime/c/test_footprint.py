"""Flash, RAM, stack and instructions on emulated processors."""

from pathlib import Path

import numpy as np
import pytest

from runtime.c.footprint import Footprint, beyond, footprint, footprints
from runtime.c.programs import call, unpack
from runtime.c.reading import read_source
from runtime.c.targets import STANDARD, TARGETS, compiler, tool
from runtime.errors import ToolchainError
from tests.compilers import ON_EMULATED, needs
from trainer import Dataset


@pytest.mark.parametrize("target", ON_EMULATED)
def test_what_the_digits_take(target: str, c_folder: Path, digits: Dataset) -> None:
    """640 bytes of weights and 64 pixels."""
    found = footprint(read_source(c_folder), target, digits.test.images.numpy())
    assert 640 + 300 < found.flash < 640 + 5000
    assert found.ram in (90, 92)  # sums, rows, probabilities, and one row of 8 pixels
    assert 40 <= found.stack <= 256
    assert 640 < found.instructions < 60_000
    black = footprint(read_source(c_folder), target, np.zeros((2, 8, 8, 1), np.uint8))
    assert black.instructions < found.instructions  # black pixels are skipped


@pytest.mark.parametrize("target", ON_EMULATED)
def test_no_variable_is_its_own(target: str, c_folder: Path, tmp_path: Path) -> None:
    source = read_source(c_folder)
    unpack(source, tmp_path)
    options = [*STANDARD, *TARGETS[target].flags, "-Os", "-c", "digits.c", "-o", "digits.o"]
    call([*compiler(target), *options], tmp_path)
    text, data, bss = map(int, call([tool(target, "size"), "digits.o"], tmp_path).splitlines()[-1].split()[:3])
    assert text > 640
    assert (data, bss) == (0, 0)


@needs("cortex-m0")
def test_a_model_that_is_too_large_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    from tests.runtime.c.test_model import COLOUR

    source = read_source(COLOUR.folder(tmp_path))
    images = COLOUR.images(1)
    found = footprints(source, images)
    assert "avr" not in found
    assert found["cortex-m0"].flash > 3 * 96 * 96 * 3
    with pytest.raises(ToolchainError):
        footprints(source, images, ["avr"])


def test_a_budget() -> None:
    taken = {"cortex-m0": Footprint(9000, 112, 104, 50_000.0)}
    assert list(beyond({"flash": 9000, "ram": 1024}, taken)) == []
    assert list(beyond({"flash": 8192, "instructions": 1000}, taken)) == [
        "expected flash of at most 8,192 on cortex-m0, found 9,000",
        "expected instructions of at most 1,000 on cortex-m0, found 50,000",
    ]
