"""The options of `kit train`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runtime.data.unreadable import MAX_UNREADABLE
from runtime.image import FITS

from .config import CLASS_WEIGHTS, DEVICES, EPOCHS, FitConfig, SgdSettings
from .config_file import CONFIG, read_config
from .features.kinds import FILTERS, KINDS, LAYOUTS, LEAST_FILTERS, MOST_FILTERS
from .solvers.schedules import SCHEDULES

DEFAULTS, SGD = FitConfig(), SgdSettings()
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT]?)(i?)B?)", re.IGNORECASE)
PREFIXES = ("", "K", "M", "G", "T")


def options(*each: Any) -> Callable[[Any], Any]:
    """Give a command several options, in this order."""

    def add(command: Any) -> Any:
        for option in reversed(each):
            command = option(command)
        return command

    return add


def size_in_bytes(text: str | None) -> int | None:
    """Read a size such as 512MB, 1.5 GiB or 2000000000; None where there is none. Raises click.BadParameter."""
    if text is None:
        return None
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise click.BadParameter(f"expected a size such as 512MB or 2GiB, found {text!r}")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** PREFIXES.index((prefix or "").upper()))


def numbers(text: str | None) -> tuple[float, ...] | None:
    """Read one number or several, with commas between them; None where there is none. Raises click.BadParameter."""
    if text is None:
        return None
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise click.BadParameter(f"expected numbers such as 127.5 or 123.7,116.3,103.5, found {text!r}") from None


def rates(texts: tuple[str, ...]) -> dict[str, float] | None:
    """Read rates such as defect=0.01, by label; None without any. Raises click.BadParameter."""
    found = {}
    for text in texts:
        label, separator, rate = text.rpartition("=")
        try:
            found[label] = float(rate)
        except ValueError:
            separator = ""
        if not separator or not label or not 0 < found[label] < 1:
            raise click.BadParameter(f"expected a label and a rate above 0 and below 1, as defect=0.01, found {text!r}")
    return found or None


DATA = (  # which images, and what they become
    click.option("--data", default="fashion-mnist", show_default=True, metavar="NAME|DIR|FILE|URL",
                  help="Data set: fashion-mnist, mnist, kmnist, cifar10, or digits (needs no files); a folder of "
                  "images, DIR/<class>/*, or DIR/train/<class>/* with DIR/val and DIR/test; a zip or tar archive of "
                  "one; a table of files and labels; or Parquet with images and labels: a file, a folder or a URL."),
    click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
                  help="Folder of torchvision's data sets; missing ones are downloaded to it.  "
                  "[default: data]"),
    click.option("--image-size", type=click.IntRange(1, 4096),
                  help="Height and width of the model's images, in pixels.  [default: the data set's, or 32]"),
    click.option("--color", type=click.Choice(["L", "RGB"]),
                  help="Color mode: greyscale or RGB.  [default: the data set's, or RGB]"),
    click.option("--fit", type=click.Choice(FITS),
                  help="How an image of another aspect ratio is brought to that size: stretched, cropped about its "
                  "centre, or padded with black.  [default: stretch]"),
    click.option("--column", metavar="NAME", help="Column with the images, or with their file names."),
    click.option("--label-column", metavar="NAME", help="Column with the labels."),
    click.option("--shift", type=click.IntRange(0, 8),
                  help="Bits to shift 16-bit pixels of files by: 8 for values of 0-65535, 4 for 0-4095, 0 for 0-255.  "
                  "[default: chosen from the training images]"),
    click.option("--max-unreadable", type=click.FloatRange(0, 1), default=MAX_UNREADABLE, show_default=True,
                  help="Share of the images that may be unreadable; they are left out."),
)  # fmt: skip
FIT = (  # fields of `FitConfig`
    click.option("--solver", type=click.Choice(list(EPOCHS)), default=DEFAULTS.solver, show_default=True,
                  help="auto: finds weight decay, and needs no other setting; sgd: minibatch gradient descent; lbfgs: "
                  "converges to the optimum."),
    click.option("--epochs", type=click.IntRange(1),
                  help="Passes over the training images.  [default: sgd 10; at most: auto 100, lbfgs 2000]"),
    click.option("--batch-size", type=click.IntRange(1),
                  help=f"Images in a minibatch; selects sgd.  [default: {SGD.batch_size}]"),
    click.option("--lr", type=click.FloatRange(0, min_open=True),
                  help=f"Initial learning rate; selects sgd.  [default: {SGD.lr}]"),
    click.option("--schedule", type=click.Choice(list(SCHEDULES)),
                  help="Learning rate schedule: cosine decay to 0, or constant; selects sgd.  "
                  f"[default: {SGD.schedule}]"),
    click.option("--momentum", type=click.FloatRange(0, 1, max_open=True),
                  help=f"SGD momentum; selects sgd.  [default: {SGD.momentum}]"),
    click.option("--weight-decay", type=click.FloatRange(0),
                  help="Weight decay λ, of the penalty λ/2·‖W‖²; auto then chooses none.  "
                  f"[default: {SGD.weight_decay}; auto: chosen]"),
    click.option("--class-weights", type=click.Choice(CLASS_WEIGHTS), default=DEFAULTS.class_weights, show_default=True,
                  help="balanced: weight images by the inverse frequency of their class."),
    click.option("--val-fraction", type=click.FloatRange(0, 1, max_open=True), default=DEFAULTS.val_fraction,
                  show_default=True, help="Share of the training images held out for early stopping."),
    click.option("--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True,
                  help="Random seed of initial weights, order of images, and splits."),
    click.option("--device", type=click.Choice(DEVICES), default=DEFAULTS.device, show_default=True,
                  help="auto: CUDA, else MPS, else CPU."),
)  # fmt: skip
MAX_ERROR = click.option(
    "--max-error", type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Accept only answers of which, with 95 % confidence, at most this share is wrong.",
)  # fmt: skip
MAX_MISS = click.option(
    "--max-miss", callback=lambda _context, _option, texts: rates(texts), multiple=True, metavar="LABEL=F",
    help="Accept other answers only where, with 95 % confidence, at most this share of a label's images is missed.  "
    "May be given again.",
)  # fmt: skip
DECISIONS = (  # fields of `FitConfig` too
    click.option("--calibrate/--no-calibrate", default=None,
                 help="Hold out a tenth of the training images, to calibrate probabilities and find prediction sets.  "
                 "[default: from 1,000 images on]"),
    MAX_ERROR,
    MAX_MISS,
    click.option("--familiarity", is_flag=True, help="Find a score for images unlike the training images."),
)  # fmt: skip
MEMORY_LIMIT = click.option(
    "--memory-limit", callback=lambda _context, _option, text: size_in_bytes(text), metavar="SIZE",
    help="Memory limit for images, such as 2GB; larger data sets are read from disk as needed.  "
    "[default: half of the free memory]",
)  # fmt: skip
RUN = (  # the run
    click.option("--config", CONFIG, type=click.Path(path_type=Path), metavar="FILE", is_eager=True,
                  callback=read_config,
                  help="TOML file with these options, as the train.toml of a run; those given here win."),
    click.option("--out", type=click.Path(path_type=Path, file_okay=False),
                  help="Output folder of the run.  [default: runs/<data name>]"),
    MEMORY_LIMIT,
    click.option("--from", "start", type=click.Path(path_type=Path), metavar="RUN|FILE",
                  help="Start from the weights of a run or checkpoint, by label."),
    click.option("--resume", is_flag=True, help="Resume the interrupted run in --out."),
    click.option("--report/--no-report", default=True, show_default=True, help="Draw plots when training ends."),
    click.option("--json", "as_document", is_flag=True, help="Print the report as JSON."),
)  # fmt: skip
FEATURES = (  # what the regression is fitted to
    click.option("--features", default="pixels", show_default=True, metavar="NAME|FILE",
                  help=f"What the regression is fitted to: pixels, {', '.join(KINDS)}, or an ONNX file."),
    click.option("--filters", type=click.IntRange(LEAST_FILTERS, MOST_FILTERS),
                 help=f"Filters of patches.  [default: {FILTERS}]"),
    click.option("--mirror", is_flag=True, help="Fit to the features of mirror images too."),
    click.option("--features-weights", "weights", type=click.Path(path_type=Path), metavar="FILE",
                  help="Weights of the features' network: .safetensors, or .pth.  [default: its own]"),
    click.option("--features-download", "download", is_flag=True,
                  help="Download the weights of torchvision's networks where they are not at hand."),
    click.option("--features-output", "output", metavar="NAME", help="Which output of an ONNX file the features are."),
    click.option("--features-layout", "layout", type=click.Choice(LAYOUTS),
                  help="Layout of an ONNX file's float input, which is (pixel - mean) / scale."),
    click.option("--features-mean", "mean", callback=lambda _context, _option, text: numbers(text), metavar="F,…",
                  help="Mean of its pixels, of 0-255: a number, or one a channel."),
    click.option("--features-scale", "scale", callback=lambda _context, _option, text: numbers(text), metavar="F,…",
                  help="Scale of its pixels, likewise."),
)  # fmt: skip
