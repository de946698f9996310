"""`kit calibrate`."""

from pathlib import Path

import click

from runtime.errors import needs_extra
from runtime.text import as_json, printable, say

from .checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from .decisions.demands import Demands
from .decisions.describing import described, remedy
from .errors import UnmetError
from .options import MAX_ERROR, MAX_MISS, options


@click.command()
@click.argument("checkpoint_or_run", type=click.Path(path_type=Path), required=False)
@options(MAX_ERROR, MAX_MISS)
@click.option("--data", metavar="NAME|DIR|FILE|URL",
              help="Images that the model was not trained on, named as for kit train --data.  "
              "[default: those that the training held out]")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
              help="Folder of torchvision's data sets.  [default: data]")  # fmt: skip
@click.option("--json", "as_document", is_flag=True, help="Print what was found as JSON.")
def calibrate(
    checkpoint_or_run: Path | None, max_error: float | None, max_miss: dict[str, float] | None, data: str | None,
    data_dir: Path | None, as_document: bool,
) -> None:  # fmt: skip
    """Find probabilities, thresholds and prediction sets of CHECKPOINT_OR_RUN anew, by default the newest run's.

    Writes them to the checkpoint, in place of earlier ones; the weights stay. Export it again then. Where the images do
    not suffice for --max-error or --max-miss, says how many are needed, writes nothing, and exits 1.
    """
    path = checkpoint_path(checkpoint_or_run, "calibrating")
    checkpoint = load_checkpoint(path)
    with needs_extra("train", "kit calibrate"):
        from .decisions.recalibrating import calibrate as find
        from .decisions.recalibrating import load_images
        from .report.rewriting import rewrite
    images = load_images(checkpoint, data, data_dir) if data else None
    found, decided = find(checkpoint, Demands(max_error, max_miss or {}), data=images)
    if decided.unmet:
        raise UnmetError("; ".join(map(remedy, decided.unmet)))
    save_checkpoint(found, path)
    rewrite(path.parent, found)
    decision = found.decision or decided.decision
    if as_document:
        say(as_json({"checkpoint": str(path), "decision": decision.to_json(), "about": decided.about}))
        return
    say("\n".join(described(decision, decided.about)))
    say(f"wrote {printable(path)}: export it again")
