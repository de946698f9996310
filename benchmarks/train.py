"""Benchmarks of training, one sub-command each; Markdown tables on standard output.

    python -m benchmarks.train core --data-dir DIR

Each checks the answers that it timed, and gives ratios to a peer that ran in turns with ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .tools.measure import fashion, fashion_dir
from .tools.page import page_option, show

DRAWS = 20  # of few images
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def main() -> None:
    """Compare training with peers: time, memory, accuracy."""


def rounds_option(default: int) -> Callable[[Command], Command]:
    """Make the option --rounds."""
    return click.option("--rounds", type=click.IntRange(1), default=default, show_default=True,
                        help="How often each contender runs.")  # fmt: skip


@main.command()
@fashion
@rounds_option(61)
@click.option("--textbook-rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--against", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
              help="Another checkout of this repository: compare an epoch of its code instead.")  # fmt: skip
def core(data_dir: Path | None, rounds: int, textbook_rounds: int, against: Path | None) -> None:
    """Time an epoch alone: against a bare sweep and the textbook, or against another checkout."""
    folder = fashion_dir(data_dir)
    if against:
        from .studies.against import compare as compare_checkouts

        show(
            f"An epoch over 60,000 × 784, next to {against}",
            compare_checkouts(against, "fashion-mnist", folder, rounds=rounds),
        )
        return
    from trainer import load_data

    from .peers import textbook
    from .studies.core import compare

    data, peer = load_data("fashion-mnist", data_dir=folder), textbook.images(folder, train=True)
    show(
        "An epoch over 60,000 × 784",
        compare(data, peer, rounds=rounds, textbook_rounds=textbook_rounds),
    )


@main.command()
@fashion
@rounds_option(3)
def whole(data_dir: Path | None, rounds: int) -> None:
    """Time the command from start to exit, and its parts."""
    folder = fashion_dir(data_dir)
    from .studies.whole import compare

    show("The whole command on Fashion-MNIST", compare(folder, rounds=rounds))


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
              help="Folder of Fashion-MNIST; left out without.")  # fmt: skip
@click.option("--cifar", type=click.Path(path_type=Path, exists=True), help="Folder of CIFAR-10 photos.")
@click.option("--flowers", type=click.Path(path_type=Path, exists=True), help="Folder of photos of flowers.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--no-calibrate", is_flag=True, help="Fit ours to all training images too.")
@page_option
def tuned(
    data_dir: Path | None, cifar: Path | None, flowers: Path | None, seeds: int, no_calibrate: bool, page: Path | None
) -> None:
    """Compare default training with a tuned scikit-learn. Set OMP_NUM_THREADS=1 for times that compare."""
    from .studies.tuned import compare, compare_few
    from .tools.sets import sets

    tables = compare(sets(data_dir, cifar, flowers), seeds=seeds, calibrate=False if no_calibrate else None)
    show("Default training and a tuned scikit-learn", tables, page, "tuned")
    show("Default training on few images", compare_few(draws=DRAWS), page, "few")


@main.command()
@fashion
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--sklearn", "scikit_learn", is_flag=True, help="Also scikit-learn, which takes minutes.")
def accuracy(data_dir: Path | None, seeds: int, scikit_learn: bool) -> None:
    """Compare test accuracies with the default settings."""
    folder = fashion_dir(data_dir)
    from trainer import load_data

    from .studies.quality import accuracies, fashion_peers

    data = load_data("fashion-mnist", data_dir=folder)
    peers = fashion_peers(data, folder, scikit_learn=scikit_learn)
    show("Test accuracy on Fashion-MNIST", accuracies(data, peers, seeds=seeds))


@main.command()
@fashion
def optimum(data_dir: Path | None) -> None:
    """Compare the objective that L-BFGS reaches with scikit-learn's."""
    folder = fashion_dir(data_dir)
    from .studies.quality import fashion_and_digits, optima

    show("The optimum", optima(fashion_and_digits(folder)))


@main.command()
@click.option("--size", "sizes", type=click.IntRange(1000), multiple=True, default=[60_000, 600_000, 6_000_000],
              show_default=True, help="Images; may be given several times.")  # fmt: skip
@click.option("--mapped-size", type=click.IntRange(1000), default=6_000_000, show_default=True)
@rounds_option(3)
def growth(sizes: tuple[int, ...], mapped_size: int, rounds: int) -> None:
    """Measure how time and memory grow with the number of images. Linux only."""
    from .studies.growth import compare

    show("Growth", compare(sizes, rounds=rounds, mapped_size=mapped_size))


if __name__ == "__main__":
    main()
