"""Progress of a training on standard error: bars on a terminal, a plain line for each epoch elsewhere."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.text import note

if TYPE_CHECKING:
    from .config import Choice
    from .epoch import Epoch

SECONDS = 1.0


class Progress:
    """Progress of a fit of at most `epochs` epochs.

    sparse: whether to leave out the lines of epochs that come within a second of another, but for the last one.
    shown: False for silence.
    """

    def __init__(self, epochs: int, *, sparse: bool = False, shown: bool) -> None:
        self._epochs, self._sparse, self._shown = epochs, sparse, shown
        self._bar: Any = None
        self._left_out, self._printed = "", -math.inf

    def say(self, text: str) -> None:
        """Print a line, in place of a bar where one is shown."""
        if self._bar is not None:
            self._bar.clear()
        if self._shown:
            note(text)

    def decoding(self, done: int, total: int) -> None:
        """Show how many images have been decoded."""
        self.images_done("decoding", done, total)

    def extracting(self, done: int, total: int) -> None:
        """Show of how many images the features have been computed."""
        self.images_done("features", done, total)

    def images_done(self, title: str, done: int, total: int) -> None:
        """Show how many images something has been done with."""
        if self._bar is None:
            self._bar = self._new_bar(total, title)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
            self._bar = None

    @contextmanager
    def bar(self, images: int, done: int) -> Iterator[None]:
        """Show a bar over all epochs of `images` images, `done` epochs of which are done."""
        self._bar, self._images = self._new_bar(self._epochs * images, self._title(done + 1), done * images), images
        try:
            yield
        finally:
            self._bar.close()
            if self._left_out:
                self.say(self._left_out)

    def choice(self, choice: "Choice") -> None:
        """Show what was chosen."""
        self.say(choice.describe())
        self._epochs, self._sparse, self._bar.total = choice.epochs, choice.lr is None, choice.epochs * self._images

    def batch(self, images: int) -> None:
        """Count a minibatch."""
        self._bar.update(images)

    def epoch(self, epoch: "Epoch") -> None:
        """Show an epoch's figures."""
        figures = {"train": (epoch.train_loss, epoch.train_accuracy), "test": (epoch.test_loss, epoch.test_accuracy)}
        if epoch.val_loss is not None and epoch.val_accuracy is not None:
            figures["val"] = epoch.val_loss, epoch.val_accuracy
        shown = "  ".join(f"{name} loss {loss:.4f}  accuracy {share:.4f}" for name, (loss, share) in figures.items())
        self._left_out = f"epoch {epoch.epoch:>{len(str(self._epochs))}}/{self._epochs}  {shown}  {epoch.seconds:.2f} s"
        if not self._sparse or time.monotonic() - self._printed >= SECONDS:
            self.say(self._left_out)
            self._left_out, self._printed = "", time.monotonic()
        self._bar.set_description(self._title(epoch.epoch + 1), refresh=False)
        self._bar.set_postfix(loss=f"{epoch.train_loss:.4f}", accuracy=f"{epoch.train_accuracy:.4f}")

    def _title(self, epoch: int) -> str:
        return f"epoch {min(epoch, self._epochs)}/{self._epochs}"

    def _new_bar(self, total: int, description: str, initial: int = 0) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=total,
            desc=description,
            initial=initial,
            unit=" images",
            unit_scale=True,
            disable=None if self._shown else True,
            leave=False,
        )
