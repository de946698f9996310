"""`kit train`."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import KitError, needs_extra
from runtime.text import as_json, complain, printable, say

from .config import CLASS_WEIGHTS, DEVICES, EPOCHS, SCHEDULES, FitConfig

if TYPE_CHECKING:
    from .fitting import Epoch

DEFAULTS = FitConfig()
INTERRUPTED = 130
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT]?)(i?)B?)", re.IGNORECASE)
PREFIXES = ("", "K", "M", "G", "T")


@click.command()
@click.option(
    "--data",
    default="fashion-mnist",
    show_default=True,
    metavar="NAME|DIR|PARQUET",
    help="fashion-mnist, mnist, kmnist, cifar10, digits (which needs no files), a folder of images: "
    "DIR/<class>/*, or DIR/train/<class>/* with DIR/test/<class>/*; or Parquet with encoded images and labels: a file, "
    "a folder of files, or a URL.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="KIT_DATA_DIR",
    show_envvar=True,
    help="Where torchvision's data sets lie, or are downloaded to.  [default: data]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the run's files.  [default: runs/<data name>]",
)
@click.option(
    "--image-size", type=click.IntRange(1, 4096), help="Side of the model's images.  [default: theirs, or 32]"
)
@click.option("--color", type=click.Choice(["L", "RGB"]), help="Of the model's images.  [default: theirs, or RGB]")
@click.option("--solver", type=click.Choice(list(EPOCHS)), default=DEFAULTS.solver, show_default=True,
              help="sgd for minibatches, lbfgs for the optimum.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images.  [default: 10; lbfgs: at most 2000]")
@click.option("--batch-size", type=click.IntRange(1), default=DEFAULTS.batch_size, show_default=True,
              help="Images a step.")  # fmt: skip
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=DEFAULTS.lr, show_default=True,
              help="Size of the first step.")  # fmt: skip
@click.option("--schedule", type=click.Choice(SCHEDULES), default=DEFAULTS.schedule, show_default=True,
              help="How the step size goes on: down to 0 along half a cosine, or the same.")  # fmt: skip
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), default=DEFAULTS.momentum, show_default=True,
              help="Share of the last step that is taken again.")  # fmt: skip
@click.option("--weight-decay", type=click.FloatRange(0), default=DEFAULTS.weight_decay, show_default=True,
              help="λ of the penalty λ/2·‖W‖².")  # fmt: skip
@click.option("--class-weights", type=click.Choice(CLASS_WEIGHTS), default=DEFAULTS.class_weights, show_default=True,
              help="balanced: rare classes count as much as frequent ones.")  # fmt: skip
@click.option("--val-fraction", type=click.FloatRange(0, 1, max_open=True), default=DEFAULTS.val_fraction,
              show_default=True, help="Share of the training images to hold out, to stop early.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True,
              help="Of the weights' start, the order of the images, and the splits.")  # fmt: skip
@click.option("--device", type=click.Choice(DEVICES), default=DEFAULTS.device, show_default=True,
              help="auto takes CUDA, then MPS, then the CPU.")  # fmt: skip
@click.option("--memory-limit", callback=lambda _context, _option, text: size_in_bytes(text), metavar="SIZE",
              help="What images may take of the memory, such as 2GB; what is larger is read from the disk as it is "
              "needed.  [default: half of what is free]")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the run in --out where it was interrupted.")
@click.option("--report/--no-report", default=True, show_default=True, help="Draw the pictures at the end.")
@click.option("--json", "as_document", is_flag=True, help="Print the report as JSON.")
def train(
    data: str,
    data_dir: Path | None,
    out: Path | None,
    image_size: int | None,
    color: str | None,
    memory_limit: int | None,
    resume: bool,
    report: bool,
    as_document: bool,
    **settings: Any,
) -> None:
    """Fit softmax regression to images and write a run's folder.

    It holds the checkpoint model.safetensors, history.csv, report.json, MODEL_CARD.md and four pictures. The checkpoint
    is replaced after each epoch. Ctrl-C ends the run after the present minibatch; --resume goes on from there and ends
    with the same weights. Several processes that torchrun starts share the work, and the first of them alone writes.
    """
    config = FitConfig(**settings)
    with needs_extra("train", "kit train"):
        from . import distributed
        from .data.dataset import load_data
        from .data.minibatches import choose_device
        from .fitting import fit
        from .report.run import Run

    device = choose_device(config.device)
    with said_once(), distributed.group(device) as group:
        progress = Progress(config, shown=group.rank == 0)
        load = partial(load_data, data, data_dir=data_dir, image_size=image_size, color=color, seed=config.seed)
        dataset = group.in_turn(partial(load, progress=progress.decoding))
        run = Run(out or Path("runs") / dataset.name, dataset, pictures=report) if group.rank == 0 else None
        height, width, channels = dataset.contract.shape
        progress.say(
            f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images, "
            f"{height}×{width}×{channels}, {len(dataset.labels)} labels; on {device.type}"
            + (f", by {group.size} processes" if group.size > 1 else "")
        )
        saved = group.shared(run.saved() if run and (resume or distributed.restarted()) else None)
        if saved and saved.progress is None:
            if run:
                progress.say(f"{run.checkpoint_path} is finished already")
                _print(run.report(), as_document)
            return
        done = len(saved.progress["history"]) if saved and saved.progress else 0
        with progress.bar(len(dataset.train) // group.size, done), interruptible() as stop:
            fitted = fit(
                dataset,
                config,
                on_epoch=progress.epoch,
                on_batch=progress.batch,
                on_checkpoint=run.save if run else None,
                stop=stop,
                resume=saved,
                memory_limit=memory_limit,
                group=group,
            )
        if fitted.converged is False and len(fitted.history) == config.last_epoch:
            progress.say(
                f"expected the optimum within {config.last_epoch} epochs, found it not reached: "
                "raise --epochs, or --weight-decay"
            )
        if run and fitted.finished:
            _print(run.report(), as_document)
            if not as_document:
                say(f"wrote {printable(run.checkpoint_path)}")
        elif run:
            complain(
                f"interrupted in epoch {len(fitted.history) + 1}, saved {run.checkpoint_path}: "
                "the same command with --resume goes on from there"
            )
        if not fitted.finished:
            sys.exit(INTERRUPTED)


def size_in_bytes(text: str | None) -> int | None:
    """Read a size such as 512MB, 1.5 GiB or 2000000000; None where there is none. Raises click.BadParameter."""
    if text is None:
        return None
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise click.BadParameter(f"expected a size such as 512MB or 2GiB, found {text!r}")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** PREFIXES.index((prefix or "").upper()))


@contextmanager
def said_once() -> Iterator[None]:
    """Let the first process on each machine alone say what went wrong."""
    from .distributed import local_rank

    try:
        yield
    except KitError:
        if local_rank() > 0:
            sys.exit(1)
        raise


def _print(report: dict[str, Any], as_document: bool) -> None:
    if as_document:
        say(as_json(report))
    else:
        say(f"test accuracy {report['figures']['test_accuracy']:.4f}, loss {report['figures']['test_loss']:.4f}")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C only be noted, for the fit to ask after; the second one interrupts at once."""
    noted = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal noted
        noted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)


class Progress:
    """Bars on a terminal, a plain line for each epoch elsewhere; all on standard error."""

    def __init__(self, config: FitConfig, *, shown: bool) -> None:
        self._epochs = config.last_epoch
        self._shown = shown
        self._bar: Any = None

    def say(self, text: str) -> None:
        """Print a line."""
        if self._shown:
            click.echo(printable(text), err=True)

    def decoding(self, done: int, total: int) -> None:
        """Show how many image files have been decoded."""
        if self._bar is None:
            self._bar = self._new_bar(total, "decoding")
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
            self._bar = None

    @contextmanager
    def bar(self, images: int, done: int) -> Iterator[None]:
        """Show a bar over all epochs, of which some are done."""
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
