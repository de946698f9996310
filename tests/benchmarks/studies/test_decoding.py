"""The study of JPEG's own scaling, on few and small photos."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.studies.decoding import SIDES, compare, scaled
from runtime.image import ImageContract
from tests.benchmarks.reading import cells


def test_a_row_for_each_side(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / "1.jpg")
    for count, photos in ((2, None), (1, tmp_path)):
        (found,) = compare(count, photos, size=(800, 600))
        rows = cells(found)
        assert [row[0] for row in rows] == [str(side) for side in SIDES]
        assert float(rows[0][3]) > 0


def test_a_photo_that_is_not_scaled_has_the_contracts_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "1.jpg")
    contract = ImageContract(height=8, width=8, color="RGB")
    np.testing.assert_array_equal(
        scaled((tmp_path / "1.jpg").read_bytes(), contract), contract.pixels(tmp_path / "1.jpg")
    )
