"""Which opset a file is written with, so that the onnxruntime it is meant for loads it."""

from runtime.session import onnxruntime

from ..errors import ExportError
from . import FORMATS
from .compatibility import OLDEST_OPSET, OPSET, Target, release


def target_for(format: str, opset: int | None = None, target_ort: str | None = None) -> Target:  # noqa: A002
    """Choose the opset of an export.

    format: a key of `FORMATS`.
    opset: ONNX opset version; None for the default.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15"; None for the installed one.
    Raises ExportError where no such file can be written.
    """
    if FORMATS[format].runs_on != "onnxruntime":
        if opset is not None or target_ort is not None:
            raise ExportError(
                f"expected no opset and no onnxruntime version for {format}, which torch runs, found "
                f"{target_ort or opset}: leave it out, or choose one of {', '.join(_for_onnxruntime())}"
            )
        return Target()
    here = onnxruntime().__version__
    oldest = min(here if target_ort is None else target_ort, here, key=lambda version: release(version).opset)
    opset = OPSET if opset is None else opset
    newest = release(oldest).opset
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


def _for_onnxruntime() -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"]
