"""`python -m benchmarks.features`: pixels, patches and EfficientNet-Lite0, next to the same made by hand.

    python -m benchmarks.features --flowers DIR --cifar DIR --data-dir DIR

Needs the package efficientnet-lite-pytorch, which the kit does not.
"""

from importlib.util import find_spec
from pathlib import Path

import click

from .tools.measure import fashion, fashion_dir, photo_folders
from .tools.page import page_option, show

PEER = "efficientnet_lite_pytorch"
DRAWS = 5  # of ten images a class


@click.command()
@photo_folders
@fashion
@click.option("--draws", type=click.IntRange(1), default=DRAWS, show_default=True, help="Draws of ten images a class.")
@page_option
def main(flowers: Path | None, cifar: Path | None, data_dir: Path | None, draws: int, page: Path | None) -> None:
    """Compare features by accuracy, size and time on one thread; data sets that are not named are left out."""
    if not (flowers or cifar or data_dir):
        raise click.UsageError("expected --flowers, --cifar or --data-dir, found none: name a data set")
    if (flowers or cifar) and not find_spec(PEER):
        raise click.ClickException(f"expected {PEER}, the peer, found none: pip install {PEER.replace('_', '-')}")
    from .studies.features import CIFAR, FASHION, FLOWERS, compare, compare_few, one_thread

    one_thread()
    if flowers:
        show("Photos of flowers", compare(str(flowers), FLOWERS), page, "features-flowers")
        few = compare_few(str(flowers), FLOWERS, draws=draws)
        show("Photos of flowers, ten a class", few, page, "features-few")
    if cifar:
        show("CIFAR-10", compare(str(cifar), CIFAR), page, "features-cifar")
    if data_dir:
        fashions = compare("fashion-mnist", FASHION, data_dir=str(fashion_dir(data_dir)))
        show("Fashion-MNIST", fashions, page, "features-fashion")


if __name__ == "__main__":
    main()
