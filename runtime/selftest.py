"""`kit selftest`."""

from pathlib import Path

import click

from .classifier import load
from .errors import naming
from .text import printable, say


@click.command()
@click.argument("artefact", type=click.Path(path_type=Path))
def selftest(artefact: Path) -> None:
    """Run the golden examples in ARTEFACT on this device and compare with the trained model's probabilities.

    Exits 1 where one differs by more than the artefact allows: the file gives other answers here than where it was
    made.
    """
    classifier = load(artefact)
    with naming(str(artefact)):
        difference = classifier.selftest()
    golden = classifier.metadata.golden
    say(
        f"{printable(artefact)}: largest difference {difference:.2g} in {len(golden.images)} golden examples, "
        f"tolerance {golden.tolerance:g}"
    )
