"""Which opset and IR version a file is written with, so that the onnxruntime it is meant for loads it."""

from dataclasses import dataclass

from runtime.session import onnxruntime

from ..errors import ExportError
from . import FORMATS
from .compatibility import IR_VERSION, OLDEST_OPSET, OPSET, release


@dataclass(frozen=True, kw_only=True)
class Target:
    """opset: of the ONNX operators. ir_version: of the ONNX file."""

    opset: int = OPSET
    ir_version: int = IR_VERSION


def target_for(format: str, opset: int | None = None, target_ort: str | None = None) -> Target:  # noqa: A002
    """Choose for a format; opset: asked for by the user; target_ort: the oldest onnxruntime that has to load the file.

    Raises ExportError where there is no such file.
    """
    if FORMATS[format].runs_on != "onnxruntime":
        if opset is not None or target_ort:
            raise ExportError(
                f"expected no opset and no onnxruntime version for {format}, which torch runs, found "
                f"{target_ort or opset}: leave it out, or take one of {', '.join(_for_onnxruntime())}"
            )
        return Target()
    here = onnxruntime().__version__
    oldest = min(target_ort or here, here, key=lambda version: release(version).opset)
    opset = OPSET if opset is None else opset
    newest = release(oldest).opset
    if not OLDEST_OPSET <= opset <= newest:
        raise ExportError(
            f"expected an opset from {OLDEST_OPSET} to {newest}, which onnxruntime {oldest} loads, found {opset}: "
            f"choose one of these, or leave it out for {OPSET}"
        )
    if format == "ort" and release(target_ort or here).ort < release(here).ort:
        raise ExportError(
            f"expected an ort file for onnxruntime {oldest}, found that it does not load those of onnxruntime {here}, "
            "which is installed here: take --format onnx, or export with the older one installed"
        )
    return Target(opset=opset)


def _for_onnxruntime() -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"]
