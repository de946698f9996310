"""Names of images, such as their paths: made when they are asked for, as there may be millions."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Names:
    """The names of some images.

    name: gives that of the image at a position of their source.
    positions: int64 [N], of these images.
    """

    def __init__(self, name: Callable[[int], str], positions: NDArray[np.int64]) -> None:
        self._name, self._positions = name, positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, place: int) -> str:
        return self._name(int(self._positions[place]))

    def some(self, rows: Any) -> "Names":
        """The names of the images at `rows`: integers [n], or a slice."""
        return Names(self._name, self._positions[np.asarray(rows) if not isinstance(rows, slice) else rows])


def numbered(count: int) -> Names:
    """Name images by their positions, from 0."""
    return Names(str, np.arange(count))
