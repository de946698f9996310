"""`python -m benchmarks.decoding`: what JPEG's own scaling would save, and by how much it would change the pixels."""

from pathlib import Path

import click

from .tools.page import show


@click.command()
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of photos to enlarge.  [default: patterns are drawn]")  # fmt: skip
@click.option("--count", default=30, show_default=True, type=click.IntRange(1), help="Photos of 12 megapixels.")
def main(photos: Path | None, count: int) -> None:
    """Decode photos of 12 megapixels in full and scaled by JPEG's own transform, and compare."""
    from .studies.decoding import compare

    show("Photos of 12 megapixels", compare(count, photos))


if __name__ == "__main__":
    main()
