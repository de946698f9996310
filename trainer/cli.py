"""`kit train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import needs_extra

if TYPE_CHECKING:
    from .training import Epoch, FitConfig


@click.command()
@click.option(
    "--data",
    default="fashion-mnist",
    show_default=True,
    metavar="NAME",
    help="fashion-mnist, kmnist, mnist, or digits (which needs no files).",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="KIT_DATA_DIR",
    show_envvar=True,
    help="Where the data set lies, or is downloaded to.  [default: data]",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the run's files.  [default: runs/NAME]"
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Passes over the images.")
@click.option("--batch-size", type=click.IntRange(1), default=256, show_default=True, help="Images a step.")
@click.option(
    "--lr",
    type=click.FloatRange(0, min_open=True),
    default=0.03,
    show_default=True,
    help="Size of the first step; it falls to 0 along half a cosine.",
)
@click.option(
    "--momentum",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.9,
    show_default=True,
    help="Share of the last step that is taken again.",
)
@click.option(
    "--weight-decay", type=click.FloatRange(0), default=1e-4, show_default=True, help="λ of the penalty λ/2·‖W‖²."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the start and the order.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="auto takes CUDA, then MPS, then the CPU.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def train(data: str, data_dir: Path | None, out: Path | None, as_json: bool, **settings: Any) -> None:
    """Fit softmax regression to images, and write a run's folder: model.safetensors, history.csv, report.json."""
    with needs_extra("train", "kit train"):
        from .checkpoint import RUNS
        from .data import load_data
        from .run import write_run
        from .training import FitConfig, choose_device, fit

    config = FitConfig(**settings)
    device = choose_device(config.device)
    dataset = load_data(data, data_dir=data_dir)
    height, width, channels = dataset.contract.shape
    click.echo(
        f"{data}: {len(dataset.train):,} training and {len(dataset.test):,} test images, {height}×{width}×{channels}, "
        f"{len(dataset.labels)} labels; on {device.type}",
        err=True,
    )
    with Progress(config, len(dataset.train)) as progress:
        fitted = fit(dataset, config, on_epoch=progress.epoch, on_batch=progress.batch)
    report = write_run(out or RUNS / data, fitted)
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        click.echo(f"test accuracy {report['figures']['test_accuracy']:.4f}, loss {report['figures']['test_loss']:.4f}")
        click.echo(f"wrote {report['checkpoint']}")


class Progress:
    """A bar on a terminal, a plain line for each epoch elsewhere; both on standard error."""

    def __init__(self, config: "FitConfig", images: int) -> None:
        from tqdm import tqdm

        self._epochs = config.epochs
        self._bar = tqdm(total=config.epochs * images, unit=" images", unit_scale=True, disable=None, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def batch(self, images: int) -> None:
        """Count a minibatch."""
        self._bar.update(images)

    def epoch(self, epoch: "Epoch") -> None:
        """Show an epoch's figures."""
        self._bar.clear()
        click.echo(
            f"epoch {epoch.epoch:>{len(str(self._epochs))}}/{self._epochs}  "
            f"train loss {epoch.train_loss:.4f}  accuracy {epoch.train_accuracy:.4f}  "
            f"test loss {epoch.test_loss:.4f}  accuracy {epoch.test_accuracy:.4f}  {epoch.seconds:.2f} s",
            err=True,
        )
        self._bar.set_postfix(loss=f"{epoch.train_loss:.4f}", accuracy=f"{epoch.train_accuracy:.4f}")
