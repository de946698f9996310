"""Which opset a file is written with, so that the onnxruntime it is meant for loads it."""

from collections.abc import Sequence

from runtime.errors import needs_extra
from runtime.session import ONNXRUNTIME, onnxruntime
from trainer.data.features import Features

from ..c.frames import check_frame
from ..c.identifiers import check_identifier
from ..errors import ExportError
from . import COMPILER, FORMATS
from .compatibility import OLDEST_OPSET, OPSET, RELEASES, Target, release


def target_for(
    format: str,  # noqa: A002 - the word that users know
    opset: int | None = None,
    target_ort: str | None = None,
    features: Features | None = None,
    *,
    name: str | None = None,
    frame: Sequence[int] | None = None,
) -> Target:
    """Choose the opset of an export, and check what C is written for.

    format: a key of `FORMATS`.
    opset: ONNX opset version; None for the default.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15"; None for the installed one.
    features: a graph that goes into the file, and decides; None for none.
    name, frame: as of `Target`.
    Raises ExportError where no such file can be written.
    """
    if FORMATS[format].runs_on == COMPILER:
        return _in_c(format, opset or target_ort, name, frame)
    if name is not None or frame is not None:
        raise ExportError(
            f"expected a name and a frame for {' and '.join(_run_on(COMPILER))} alone, found them for {format}: leave "
            "them out, or export each format by itself"
        )
    if FORMATS[format].runs_on != ONNXRUNTIME:
        if opset is not None or target_ort is not None:
            raise ExportError(
                f"expected no opset and no onnxruntime version for {format}, which {FORMATS[format].runs_on} runs, "
                f"found {target_ort or opset}: leave it out, or choose one of {', '.join(_run_on(ONNXRUNTIME))}"
            )
        return Target()
    here = onnxruntime().__version__
    oldest = min(here if target_ort is None else target_ort, here, key=lambda version: release(version).opset)
    newest = release(oldest).opset
    if features:
        opset = _opset_of(features, opset, oldest, newest)
    opset = OPSET if opset is None else opset
    if not OLDEST_OPSET <= opset <= newest:
        raise ExportError(
            f"expected an opset from {OLDEST_OPSET} to {newest}, which onnxruntime {oldest} loads, found {opset}: "
            f"choose one of these, or leave it out for {OPSET}"
        )
    if format == "ort" and release(here if target_ort is None else target_ort).ort < release(here).ort:
        raise ExportError(
            f"expected an ort file for onnxruntime {oldest}, found that it does not load those of onnxruntime {here}, "
            "which is installed here: choose --format onnx, or export with the older one installed"
        )
    return Target(opset=opset)


def _opset_of(features: Features, asked: int | None, oldest: str, newest: int) -> int:
    """Return the opset of a features graph, where the onnxruntime `oldest` loads it: those up to `newest`."""
    with needs_extra("export", "reading a features graph"):
        from ..features.graph import model_of, opset_of
    opset = opset_of(model_of(features))
    if asked not in (None, opset):
        raise ExportError(
            f"expected the opset of the features graph {features.name!r}, {opset}, found {asked}: leave it out"
        )
    if not OLDEST_OPSET <= opset <= newest:
        needed = next((f"{major}.{minor}" for (major, minor), found in RELEASES.items() if found.opset >= opset), None)
        advice = f"its file needs onnxruntime {needed} or newer" if needed and opset > newest else "convert the graph"
        raise ExportError(
            f"expected a features graph of opset {OLDEST_OPSET} to {newest}, which onnxruntime {oldest} loads, found "
            f"opset {opset} in {features.name!r}: {advice}"
        )
    return opset


def _in_c(
    format: str,  # noqa: A002 - as above
    version: object,
    name: str | None,
    frame: Sequence[int] | None,
) -> Target:
    if version is not None:
        raise ExportError(
            f"expected no opset and no onnxruntime version for {format}, found {version}: leave it out, or choose one "
            f"of {', '.join(_run_on(ONNXRUNTIME))}"
        )
    return Target(name=name and check_identifier(name), frame=None if frame is None else check_frame(frame))


def _run_on(what: str) -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.runs_on == what]
