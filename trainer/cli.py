"""`kit train`."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from runtime.data.known import NAMES
from runtime.data.unreadable import MAX_UNREADABLE
from runtime.errors import KitError, needs_extra
from runtime.image import FITS
from runtime.text import as_json, complain, printable, say

from .config import CLASS_WEIGHTS, DEVICES, EPOCHS, FitConfig, SgdSettings
from .progress import Progress
from .solvers.schedules import SCHEDULES

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .data.dataset import Dataset
    from .distributed import Group
    from .fitting import Fit
    from .report.run import Run

DEFAULTS, SGD = FitConfig(), SgdSettings()
INTERRUPTED = 130
LABELS = 10  # in the first line
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT]?)(i?)B?)", re.IGNORECASE)
PREFIXES = ("", "K", "M", "G", "T")


@click.command()
@click.option("--data", default="fashion-mnist", show_default=True, metavar="NAME|DIR|FILE|URL",
              help="Data set: fashion-mnist, mnist, kmnist, cifar10, or digits (needs no files); a folder of images, "
              "DIR/<class>/*, or DIR/train/<class>/* with DIR/val and DIR/test; a zip or tar archive of one; a "
              "table of files and labels; or Parquet with images and labels: a file, a folder or a URL.")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
              help="Folder of torchvision's data sets; missing ones are downloaded to it.  "
              "[default: data]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Output folder of the run.  [default: runs/<data name>]")  # fmt: skip
@click.option("--image-size", type=click.IntRange(1, 4096),
              help="Height and width of the model's images, in pixels.  [default: the data set's, or 32]")  # fmt: skip
@click.option("--color", type=click.Choice(["L", "RGB"]),
              help="Color mode: greyscale or RGB.  [default: the data set's, or RGB]")  # fmt: skip
@click.option("--fit", type=click.Choice(FITS),
              help="How an image of another aspect ratio is brought to that size: stretched, cropped about its centre, "
              "or padded with black.  [default: stretch]")  # fmt: skip
@click.option("--column", metavar="NAME", help="Column with the images, or with their file names.")
@click.option("--label-column", metavar="NAME", help="Column with the labels.")
@click.option("--shift", type=click.IntRange(0, 8),
              help="Bits to shift 16-bit pixels of files by: 8 for values of 0-65535, 4 for 0-4095, 0 for 0-255.  "
              "[default: chosen from the training images]")  # fmt: skip
@click.option("--max-unreadable", type=click.FloatRange(0, 1), default=MAX_UNREADABLE, show_default=True,
              help="Share of the images that may be unreadable; they are left out.")  # fmt: skip
@click.option("--solver", type=click.Choice(list(EPOCHS)), default=DEFAULTS.solver, show_default=True,
              help="auto: finds weight decay, and needs no other setting; sgd: minibatch gradient descent; lbfgs: "
              "converges to the optimum.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1),
              help="Passes over the training images.  [default: sgd 10; at most: auto 100, lbfgs 2000]")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1),
              help=f"Images in a minibatch; selects sgd.  [default: {SGD.batch_size}]")  # fmt: skip
@click.option("--lr", type=click.FloatRange(0, min_open=True),
              help=f"Initial learning rate; selects sgd.  [default: {SGD.lr}]")  # fmt: skip
@click.option("--schedule", type=click.Choice(list(SCHEDULES)),
              help="Learning rate schedule: cosine decay to 0, or constant; selects sgd.  "
              f"[default: {SGD.schedule}]")  # fmt: skip
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True),
              help=f"SGD momentum; selects sgd.  [default: {SGD.momentum}]")  # fmt: skip
@click.option("--weight-decay", type=click.FloatRange(0),
              help="Weight decay λ, of the penalty λ/2·‖W‖²; auto then chooses none.  "
              f"[default: {SGD.weight_decay}; auto: chosen]")  # fmt: skip
@click.option("--class-weights", type=click.Choice(CLASS_WEIGHTS), default=DEFAULTS.class_weights, show_default=True,
              help="balanced: weight images by the inverse frequency of their class.")  # fmt: skip
@click.option("--val-fraction", type=click.FloatRange(0, 1, max_open=True), default=DEFAULTS.val_fraction,
              show_default=True, help="Share of the training images held out for early stopping.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True,
              help="Random seed of initial weights, order of images, and splits.")  # fmt: skip
@click.option("--device", type=click.Choice(DEVICES), default=DEFAULTS.device, show_default=True,
              help="auto: CUDA, else MPS, else CPU.")  # fmt: skip
@click.option("--memory-limit", callback=lambda _context, _option, text: size_in_bytes(text), metavar="SIZE",
              help="Memory limit for images, such as 2GB; larger data sets are read from disk as needed.  "
              "[default: half of the free memory]")  # fmt: skip
@click.option("--from", "start", type=click.Path(path_type=Path), metavar="RUN|FILE",
              help="Start from the weights of a run or checkpoint, by label.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Resume the interrupted run in --out.")
@click.option("--report/--no-report", default=True, show_default=True, help="Draw plots when training ends.")
@click.option("--json", "as_document", is_flag=True, help="Print the report as JSON.")
def train(
    data: str,
    data_dir: Path | None,
    out: Path | None,
    image_size: int | None,
    color: str | None,
    fit: str | None,
    column: str | None,
    label_column: str | None,
    shift: int | None,
    max_unreadable: float,
    memory_limit: int | None,
    start: Path | None,
    resume: bool,
    report: bool,
    as_document: bool,
    **settings: Any,
) -> None:
    """Fit softmax regression to images and write a run's folder.

    It holds the checkpoint model.safetensors, history.csv, report.json, MODEL_CARD.md and four plots. An unfinished fit
    is saved after each epoch, beside an earlier model until it is done. Ctrl-C stops after the current minibatch;
    --resume continues from there and ends with the same weights. Processes started by torchrun share the work; only the
    first one writes.
    """
    if start and resume:
        raise click.UsageError("expected --from or --resume, found both: --resume also continues a run that had --from")
    config = FitConfig(**settings)
    with needs_extra("train", "kit train"):
        from . import distributed
        from .data.device import choose_device
        from .data.load import load_data
        from .report.run import Run

    device = choose_device(config.device)
    with reported_once(), distributed.group(device) as group:
        progress = Progress(config.last_epoch, sparse=config.solver != "sgd", shown=group.rank == 0)
        load = partial(
            load_data, data, data_dir=data_dir, image_size=image_size, color=color, fit=fit, shift=shift, column=column,
            label_column=label_column, max_unreadable=max_unreadable, seed=config.seed,
        )  # fmt: skip
        dataset = group.in_turn(partial(load, progress=progress.decoding))
        folder, inputs = out or Path("runs") / dataset.name, [] if data in NAMES else [data]
        run = Run(folder, dataset, plots=report, inputs=inputs) if group.rank == 0 else None
        with run.locked() if run else nullcontext():
            progress.say(f"{_summary(dataset)}; on {device.type}" + (f", {group.size} processes" * (group.size > 1)))
            _fit_or_show(
                dataset, config, progress, run, group, start=start, resume=resume, folder=folder,
                memory_limit=memory_limit, as_document=as_document,
            )  # fmt: skip


def _fit_or_show(
    data: "Dataset", config: FitConfig, progress: Progress, run: "Run | None", group: "Group", *, start: Path | None,
    resume: bool, folder: Path, memory_limit: int | None, as_document: bool,
) -> None:  # fmt: skip
    """Fit, or print the figures of a run that is finished already."""
    from .distributed import restarted
    from .resuming import check_finished

    begun = group.shared(_begun(run, start, resume=resume, restarted=restarted()) if run else {})
    saved = begun.get("resume")
    if not saved or saved.progress is not None:
        fitted = _fit(data, config, progress, run, group, memory_limit=memory_limit, **begun)
        _conclude(fitted, config, progress, run, as_document)
    else:
        check_finished(saved, _given(config), data, folder, group)
        if run:
            progress.say(f"{run.checkpoint_path} is finished already")
            _print(run.report(), as_document)


def _begun(run: "Run", start: Path | None, *, resume: bool, restarted: bool) -> "dict[str, Checkpoint]":
    """Read what a fit begins with: the run in the folder to resume, or a checkpoint to start from."""
    from .checkpoint import FILE_NAME, load_checkpoint

    saved = run.saved() if resume or restarted else None
    if saved and (resume or saved.progress is not None):  # a finished one is not what torchrun has restarted
        return {"resume": saved}
    if start is None:
        return {}
    folder = os.path.isdir(start)  # noqa: PTH112 - Path raises for a name that is too long
    return {"start": load_checkpoint(start / FILE_NAME if folder else start)}


def _given(config: FitConfig) -> dict[str, Any]:
    """Name the settings that the command was given, with their values."""
    from .data.device import choose_device

    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    settings = {name: value for name, value in asdict(config).items() if name in given}
    return settings | ({"device": choose_device(config.device).type} if "device" in given else {})


def _summary(data: "Dataset") -> str:
    height, width, channels = data.contract.shape
    val = f", {len(data.val):,} validation" if data.val else ""
    more = f" and {len(data.labels) - LABELS:,} more" * (len(data.labels) > LABELS)
    return (
        f"{data.name}: {len(data.train):,} training{val} and {len(data.test):,} test images, "
        f"{height}×{width}×{channels}, {len(data.labels)} labels: {', '.join(data.labels[:LABELS])}{more}"
    )


def _fit(
    data: "Dataset", config: FitConfig, progress: Progress, run: "Run | None", group: "Group", **settings: Any
) -> "Fit":
    """Fit with progress on the terminal; Ctrl-C stops it."""
    from .errors import DivergedError
    from .fitting import fit

    saved = settings.get("resume")
    done = len(saved.progress["history"]) if saved else 0
    try:
        with progress.bar(len(data.train) // group.size, done), interruptible() as stop:
            return fit(
                data,
                config,
                on_choice=progress.choice,
                on_epoch=progress.epoch,
                on_batch=progress.batch,
                on_checkpoint=run.save if run else None,
                stop=stop,
                group=group,
                **settings,
            )
    except DivergedError:
        if run:
            run.discard()
        raise


def _conclude(fitted: "Fit", config: FitConfig, progress: Progress, run: "Run | None", as_document: bool) -> None:
    """Print the final figures, or what to do about a fit that was interrupted."""
    started = "start" in fitted.checkpoint.provenance
    if config.solver == "lbfgs" and not fitted.converged and len(fitted.history) == config.last_epoch:
        progress.say(f"L-BFGS did not converge in {config.last_epoch} iterations: raise --epochs, or --weight-decay")
    if fitted.finished and fitted.kept != len(fitted.history):
        progress.say(
            f"stopped after epoch {len(fitted.history)}: the validation loss was lowest in epoch {fitted.kept}, whose "
            "weights were kept"
        )
    if run and fitted.finished:
        _print(run.report(), as_document)
        if not as_document:
            say(f"wrote {printable(run.checkpoint_path)}")
    elif run:
        complain(
            f"interrupted in epoch {len(fitted.history) + 1}, saved {run.unfinished_path}: "
            f"resume with the same command and --resume{' in place of --from' if started else ''}"
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
def reported_once() -> Iterator[None]:
    """Print errors only in the first process of each machine."""
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
    """Record the first Ctrl-C, for the fit to ask about; the second one interrupts at once."""
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
