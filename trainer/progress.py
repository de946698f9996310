"""Progress of a training on standard error: bars on a terminal, a plain line for each epoch elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.text import note

if TYPE_CHECKING:
    from .fitting import Epoch


class Progress:
    """Progress of a fit of at most `epochs` epochs. shown: False for silence."""

    def __init__(self, epochs: int, *, shown: bool) -> None:
        self._epochs, self._shown = epochs, shown
        self._bar: Any = None

    def say(self, text: str) -> None:
        """Print a line."""
        if self._shown:
            note(text)

    def decoding(self, done: int, total: int) -> None:
        """Show how many images have been decoded."""
        if self._bar is None:
            self._bar = self._new_bar(total, "decoding")
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
            self._bar = None

    @contextmanager
    def bar(self, images: int, done: int) -> Iterator[None]:
        """Show a bar over all epochs of `images` images, `done` epochs of which are done."""
        self._bar = self._new_bar(self._epochs * images, f"epoch {done + 1}/{self._epochs}", done * images)
        try:
            yield
        finally:
            self._bar.close()

    def batch(self, images: int) -> None:
        """Count a minibatch."""
        self._bar.update(images)

    def epoch(self, epoch: "Epoch") -> None:
        """Show an epoch's figures."""
        self._bar.clear()
        figures = {"train": (epoch.train_loss, epoch.train_accuracy), "test": (epoch.test_loss, epoch.test_accuracy)}
        if epoch.val_loss is not None and epoch.val_accuracy is not None:
            figures["val"] = epoch.val_loss, epoch.val_accuracy
        shown = "  ".join(f"{name} loss {loss:.4f}  accuracy {share:.4f}" for name, (loss, share) in figures.items())
        self.say(f"epoch {epoch.epoch:>{len(str(self._epochs))}}/{self._epochs}  {shown}  {epoch.seconds:.2f} s")
        self._bar.set_description(f"epoch {min(epoch.epoch + 1, self._epochs)}/{self._epochs}", refresh=False)
        self._bar.set_postfix(loss=f"{epoch.train_loss:.4f}", accuracy=f"{epoch.train_accuracy:.4f}")

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
