"""What a user demands of the answers, and how many held-out images that takes."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import ConfigError

CONFIDENCE = 0.95  # with which a demand is met
ENOUGH = 3  # times the fewest answers that may meet it: some are not accepted, and some are wrong


class Demands(NamedTuple):
    """What the accepted answers have to keep to.

    max_error: the largest share of them that may be wrong; None for any.
    max_miss: by label, the largest share of its images that may be answered otherwise.
    """

    max_error: float | None = None
    max_miss: Mapping[str, float] = {}

    @property
    def any(self) -> bool:
        """Whether anything is demanded."""
        return self.max_error is not None or bool(self.max_miss)

    @property
    def both(self) -> bool:
        """Whether each kind is found on images of its own."""
        return self.max_error is not None and bool(self.max_miss)

    def check(self, labels: tuple[str, ...]) -> None:
        """Raise ConfigError for a label that the data do not have."""
        if others := [label for label in self.max_miss if label not in labels]:
            raise ConfigError(f"max_miss: expected a label out of {', '.join(labels)}, found {others[0]!r}")

    def images(self, shares: Mapping[str, float]) -> int:
        """How many images to measure on: some more than the fewest that may do.

        shares: of each label in the images, 0-1.
        """
        needed = [] if self.max_error is None else [fewest(self.max_error)]
        needed += [math.ceil(fewest(rate) / max(shares[label], 1e-9)) for label, rate in self.max_miss.items()]
        return ENOUGH * (1 + self.both) * max(needed, default=0)


def fewest(rate: float) -> int:
    """How many answers without an error show, with CONFIDENCE, that at most a share `rate` is wrong.

    The smallest n with (1 − rate)ⁿ ≤ 1 − CONFIDENCE.
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-rate))
