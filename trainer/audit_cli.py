"""`kit audit`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from runtime.errors import needs_extra
from runtime.files import check_target, write_atomic
from runtime.text import as_json, printable, say

from .cli import fill_in, taken
from .config import FitConfig
from .errors import TrainerError
from .features.kinds import FeatureSettings
from .options import DATA, FEATURES, MEMORY_LIMIT, options
from .progress import Progress

SHOWN = 10  # images of a kind
CSV, PAGE = "audit.csv", "audit.html"


@click.command()
@click.argument("data", metavar="NAME|DIR|FILE|URL")
@options(*DATA[1:], *FEATURES)
@click.option("--near/--no-near", default=True, show_default=True, help="Look for near copies.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Look for likely wrong labels.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("audits"), show_default=True,
              help=f"Folder to write {CSV} and {PAGE} to, below the data's name.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of folds and splits.")
@options(MEMORY_LIMIT)
@click.option("--json", "as_document", is_flag=True, help="Print the findings as JSON.")
def audit(
    data: str, features: str, near: bool, labels: bool, out: Path, seed: int, memory_limit: int | None,
    as_document: bool, **settings: Any,
) -> None:  # fmt: skip
    """Look for mistakes in a data set.

    These are copies, also across train and test, images in two classes, likely wrong labels, blank, badly exposed
    and tiny images, and small classes. Writes a table of them, and a page of thumbnails. Likely wrong labels are
    those that models which have not seen an image find unlikely; with --features they are found better.
    """
    about = FeatureSettings(**taken(settings, FeatureSettings))
    fill_in(settings, features)
    with needs_extra("train", "kit audit"):
        from .auditing.audit import audit as find
        from .auditing.page import page
        from .data.load import load_data
        from .features.load import load_features
        from .report.tables import as_csv

    progress = Progress(0, shown=True)
    images = load_data(data, **settings, seed=seed, progress=progress.decoding)
    folder = out / images.name
    for name in (CSV, PAGE):
        check_target(folder / name, TrainerError, [data])
    if labels:
        images = load_features(images, features, about, seed=seed, progress=progress.extracting)
    tell = partial(_tell, progress)
    findings = find(images, FitConfig(seed=seed), near=near, labels=labels, memory_limit=memory_limit, progress=tell)
    head = ("kind", "part", "image", "label", "other", "score")
    table = as_csv(head, ([finding[name] for name in head] for finding in findings))
    write_atomic(folder / CSV, table.encode(), TrainerError)
    write_atomic(folder / PAGE, page(images, findings).encode(), TrainerError)
    say(as_json(findings) if as_document else "\n".join(_lines(findings, folder)))


def _tell(progress: Progress, what: str, done: int, total: int) -> None:
    progress.images_done(what, done, total)


def _lines(findings: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    counts = Counter(finding["kind"] for finding in findings)
    for kind, count in counts.items():
        yield f"{kind}: {count:,}"
        for finding in [one for one in findings if one["kind"] == kind][:SHOWN]:
            names = (printable(finding[name]) for name in ("image", "label", "other") if finding[name])
            yield f"  {'  '.join(names)}"
        if count > SHOWN:
            yield "  …"
    if not findings:
        yield "nothing was found"
    yield f"wrote {printable(folder / CSV)} and {PAGE}"
