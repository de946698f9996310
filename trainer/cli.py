"""`kit train`."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from runtime.data.known import NAMES
from runtime.errors import KitError, needs_extra
from runtime.text import as_json, complain, printable, say

from .config import FitConfig
from .config_file import repeating
from .decisions.describing import described, remedy
from .errors import UnmetError
from .features.kinds import KINDS, FeatureSettings
from .options import DATA, DECISIONS, FEATURES, FIT, RUN, options
from .progress import Progress

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .data.dataset import Dataset
    from .distributed import Group
    from .fitted import Fit
    from .report.run import Run

INTERRUPTED = 130
LABELS = 10  # in the first line


@click.command()
@options(*DATA, *FEATURES, *FIT, *DECISIONS, *RUN)
def train(
    data: str,
    out: Path | None,
    features: str,
    memory_limit: int | None,
    start: Path | None,
    resume: bool,
    report: bool,
    as_document: bool,
    config_file: Path | None,
    **settings: Any,
) -> None:
    """Fit softmax regression to images and write a run's folder.

    It holds the checkpoint model.safetensors, history.csv, report.json, MODEL_CARD.md, plots, and train.toml, which
    repeats it by --config. An unfinished fit is saved after each epoch, beside an earlier model until it is done.
    Ctrl-C stops after the current minibatch; --resume continues from there and ends with the same weights. Processes
    started by torchrun share the work; only the first one writes.
    """
    if start and resume:
        raise click.UsageError("expected --from or --resume, found both: --resume also continues a run that had --from")
    config, about = FitConfig(**taken(settings, FitConfig)), FeatureSettings(**taken(settings, FeatureSettings))
    command = repeating(click.get_current_context())
    with needs_extra("train", "kit train"):
        from . import distributed
        from .data.device import choose_device
        from .report.folders import folder_for
        from .report.run import Run

    device = choose_device(config.device)
    with reported_once(), distributed.group(device) as group:
        progress = Progress(config.last_epoch, sparse=config.solver != "sgd", shown=group.rank == 0)
        dataset = _load(data, settings, features, about, config.seed, progress, group)
        again = resume or distributed.restarted()
        folder = out or group.shared(folder_for(dataset.name, resume=again) if group.rank == 0 else Path())
        inputs = [path for path in (config_file, None if data in NAMES else data) if path]
        making = partial(Run, folder, dataset, plots=report, inputs=inputs, command=command, say=progress.say)
        run = making() if group.rank == 0 else None
        with run.locked() if run else nullcontext():
            progress.say(f"{_summary(dataset)}; on {device.type}" + (f", {group.size} processes" * (group.size > 1)))
            _fit_or_show(
                dataset, config, progress, run, group, start=start, resume=resume, folder=folder,
                memory_limit=memory_limit, as_document=as_document,
            )  # fmt: skip


def _fit_or_show(
    data: "Dataset", config: FitConfig, progress: Progress, run: "Run | None", group: "Group", *, start: Path | None,
    resume: bool, folder: Path, memory_limit: int | None, as_document: bool,
) -> None:  # fmt: skip
    """Fit, or print the figures of a run that is finished already."""
    from .distributed import restarted
    from .resuming import check_finished

    begun = group.shared(_begun(run, start, resume=resume, restarted=restarted()) if run else {})
    saved = begun.get("resume")
    if not saved or saved.progress is not None:
        fitted = _fit(data, config, progress, run, group, memory_limit=memory_limit, **begun)
        _conclude(fitted, config, progress, run, as_document)
    else:
        check_finished(saved, _given(config), data, folder, group)
        if run:
            progress.say(f"{run.checkpoint_path} is finished already")
            _print(run.report(), as_document)


def _load(
    data: str, reading: dict[str, Any], features: str, about: FeatureSettings, seed: int, progress: Progress,
    group: "Group",
) -> "Dataset":  # fmt: skip
    """Load the images, one process after the other, and then their features, a share each."""
    from .data.load import load_data
    from .features.load import load_features

    fill_in(reading, features)
    load = partial(load_data, data, **reading, seed=seed, progress=progress.decoding)
    images = group.in_turn(load)
    return load_features(images, features, about, seed=seed, progress=progress.extracting, group=group)


def taken(settings: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Take the fields of a dataclass out of settings."""
    return {field.name: settings.pop(field.name) for field in fields(kind) if field.name in settings}


def fill_in(reading: dict[str, Any], features: str) -> None:
    """Let the features say what size and color the images become, where the command does not."""
    if kind := KINDS.get(features):
        reading["image_size"] = reading["image_size"] or kind.size
        reading["color"] = reading["color"] or kind.color


def _begun(run: "Run", start: Path | None, *, resume: bool, restarted: bool) -> "dict[str, Checkpoint]":
    """Read what a fit begins with: the run in the folder to resume, or a checkpoint to start from."""
    from .checkpoint import FILE_NAME, load_checkpoint

    saved = run.saved() if resume or restarted else None
    if saved and (resume or saved.progress is not None):  # a finished one is not what torchrun has restarted
        return {"resume": saved}
    if start is None:
        return {}
    folder = os.path.isdir(start)  # noqa: PTH112 - Path raises for a name that is too long
    return {"start": load_checkpoint(start / FILE_NAME if folder else start)}


def _given(config: FitConfig) -> dict[str, Any]:
    """Name the settings that the command was given, with their values."""
    from .data.device import choose_device

    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    settings = {name: value for name, value in asdict(config).items() if name in given}
    return settings | ({"device": choose_device(config.device).type} if "device" in given else {})


def _summary(data: "Dataset") -> str:
    height, width, channels = data.contract.shape
    val = f", {len(data.val):,} validation" if data.val else ""
    more = f" and {len(data.labels) - LABELS:,} more" * (len(data.labels) > LABELS)
    return (
        f"{data.name}: {len(data.train):,} training{val} and {len(data.test):,} test images, "
        f"{height}×{width}×{channels}, {len(data.labels)} labels: {', '.join(data.labels[:LABELS])}{more}"
    )


def _fit(
    data: "Dataset", config: FitConfig, progress: Progress, run: "Run | None", group: "Group", **settings: Any
) -> "Fit":
    """Fit with progress on the terminal; Ctrl-C stops it."""
    from .errors import DivergedError
    from .fitting import fit

    saved = settings.get("resume")
    done = len(saved.progress["history"]) if saved else 0
    try:
        with progress.bar(len(data.train) // group.size, done), interruptible() as stop:
            return fit(
                data,
                config,
                on_choice=progress.choice,
                on_epoch=progress.epoch,
                on_batch=progress.batch,
                on_checkpoint=run.save if run else None,
                stop=stop,
                group=group,
                **settings,
            )
    except DivergedError:
        if run:
            run.discard()
        raise


def _conclude(fitted: "Fit", config: FitConfig, progress: Progress, run: "Run | None", as_document: bool) -> None:
    """Print the final figures, or what to do about a fit that was interrupted."""
    started = "start" in fitted.checkpoint.provenance
    if config.solver == "lbfgs" and not fitted.converged and len(fitted.history) == config.last_epoch:
        progress.say(f"L-BFGS did not converge in {config.last_epoch} iterations: raise --epochs, or --weight-decay")
    if fitted.finished and fitted.kept != len(fitted.history):
        progress.say(
            f"stopped after epoch {len(fitted.history)}: the validation loss was lowest in epoch {fitted.kept}, whose "
            "weights were kept"
        )
    if fitted.checkpoint.decision:
        for line in described(fitted.checkpoint.decision, fitted.checkpoint.provenance["decision"]):
            progress.say(line)
    if run and fitted.finished:
        _print_finished(run, progress, as_document)
    elif run:
        complain(
            f"interrupted in epoch {len(fitted.history) + 1}, saved {run.unfinished_path}: "
            f"resume with the same command and --resume{' in place of --from' if started else ''}"
        )
    if not fitted.finished:
        sys.exit(INTERRUPTED)
    if fitted.unmet:
        raise UnmetError("; ".join(map(remedy, fitted.unmet)))


def _print_finished(run: "Run", progress: Progress, as_document: bool) -> None:
    """Print the figures, and then draw the plots, which takes longer."""
    from .report.folders import older_artefacts

    try:
        _print(run.report(), as_document)
        if not as_document:
            say(f"wrote {printable(run.checkpoint_path)}")
        for path in older_artefacts(run.folder):
            progress.say(f"{path} is of an earlier checkpoint: export it again")
    finally:
        run.draw()


@contextmanager
def reported_once() -> Iterator[None]:
    """Print errors only in the first process of each machine."""
    from .distributed import local_rank

    try:
        yield
    except KitError:
        if local_rank() > 0:
            sys.exit(1)
        raise


def _print(report: dict[str, Any], as_document: bool) -> None:
    if as_document:
        say(as_json(report))
    else:
        say(f"test accuracy {report['figures']['test_accuracy']:.4f}, loss {report['figures']['test_loss']:.4f}")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Record the first Ctrl-C, for the fit to ask about; the second one interrupts at once."""
    noted = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal noted
        noted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
