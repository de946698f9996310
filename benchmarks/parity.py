"""`python -m benchmarks.parity`: the exported file against a float64 reference, on every test image.

python -m benchmarks.parity --flowers DIR --cifar DIR --data-dir DIR
"""

from pathlib import Path

import click

from .tools.measure import fashion, fashion_dir, photo_folders
from .tools.page import page_option, show


@click.command()
@photo_folders
@fashion
@page_option
def main(flowers: Path | None, cifar: Path | None, data_dir: Path | None, page: Path | None) -> None:
    """Compare probabilities and labels, on digits and on the data sets that are named."""
    folder = fashion_dir(data_dir) if data_dir else None
    from .studies.parity import compare, subjects

    show("Parity with float64 on all test images", compare(subjects(folder, flowers, cifar)), page, "parity")


if __name__ == "__main__":
    main()
