"""`kit selftest`: runs an artefact's golden examples on this device."""

from pathlib import Path

import click

from ..c.model import CompiledModel
from ..c.reading import is_source
from ..c.targets import HOST, TARGETS
from ..errors import SelfTestError, naming
from ..loading import load
from ..text import printable, say
from ..web.model import WebModel
from ..web.reading import is_web
from .options import ARTEFACT, backend_option


@click.command()
@click.argument("artefact", type=ARTEFACT)
@click.option(
    "--target", "targets", type=click.Choice(list(TARGETS)), multiple=True,
    help="Of a model in C: what to compile it for; others than host are emulated. May be given again.  [default: host]",
)  # fmt: skip
@backend_option
def selftest(artefact: Path, targets: tuple[str, ...], backend: str) -> None:
    """Run the golden examples in ARTEFACT on this device and compare with the trained model's probabilities.

    Exits 1 where one differs by more than the artefact's tolerance: the file gives other answers on this device than
    where it was made. A model in C is compiled, and its own self-test runs, which looks at its weights too. One for
    browsers is run by Node. Both run code from the file: name only what you trust.
    """
    if is_source(artefact):
        for target in dict.fromkeys(targets or (HOST,)):
            say(_of_source(artefact, target))
        return
    if targets:
        raise click.UsageError(f"expected --target for a model in C alone, found it for {artefact}")
    classifier = WebModel(artefact) if is_web(artefact) else load(artefact, backend=backend)
    with naming(str(artefact)):
        difference = classifier.selftest()
    golden = classifier.metadata.golden
    say(
        f"{printable(artefact)}: largest difference {difference:.2g} in {len(golden.images)} golden examples, "
        f"tolerance {golden.tolerance:g}"
    )


def _of_source(path: Path, target: str) -> str:
    """Compile and run the self-test. Raises ArtefactError, ToolchainError and SelfTestError."""
    failed = CompiledModel(path, target).selftest()
    if failed:
        raise SelfTestError(
            f"{path}: expected the golden examples to agree on {target}, found {failed} failures, with changed weights "
            "as one: export it again, or report it with the version of the compiler"
        )
    return f"{printable(path)}: the self-test passed on {target}"
