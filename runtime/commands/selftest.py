"""`kit selftest`: runs an artefact's golden examples on this device."""

from pathlib import Path

import click

from ..errors import naming
from ..loading import load
from ..text import printable, say


@click.command()
@click.argument("artefact", type=click.Path(path_type=Path))
def selftest(artefact: Path) -> None:
    """Run the golden examples in ARTEFACT on this device and compare with the trained model's probabilities.

    Exits 1 where one differs by more than the artefact's tolerance: the file gives other answers on this device than
    where it was made.
    """
    classifier = load(artefact)
    with naming(str(artefact)):
        difference = classifier.selftest()
    golden = classifier.metadata.golden
    say(
        f"{printable(artefact)}: largest difference {difference:.2g} in {len(golden.images)} golden examples, "
        f"tolerance {golden.tolerance:g}"
    )
