"""Names of images, such as their paths, made when they are asked for, as there may be millions; which were tiny."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Names:
    """The names of some images.

    name: gives that of the image at a position of their source.
    positions: int64 [N], of these images.
    tiny: positions of images of the source that were less than half as high and wide as the model's.
    """

    def __init__(
        self, name: Callable[[int], str], positions: NDArray[np.int64], tiny: frozenset[int] = frozenset()
    ) -> None:
        self._name, self._positions, self._tiny = name, positions, tiny

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, place: int) -> str:
        return self._name(int(self._positions[place]))

    def some(self, rows: Any) -> "Names":
        """The names of the images at `rows`: integers [n], or a slice."""
        some = self._positions[np.asarray(rows) if not isinstance(rows, slice) else rows]
        return Names(self._name, some, self._tiny)

    def tiny(self) -> list[int]:
        """Rows of the images that were tiny."""
        if not self._tiny:
            return []
        return [row for row, position in enumerate(self._positions.tolist()) if position in self._tiny]


def numbered(count: int) -> Names:
    """Name images by their positions, from 0."""
    return Names(str, np.arange(count))
