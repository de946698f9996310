"""What each onnxruntime release loads, measured with the wheel of every release and files of every version.

A graph of opset 13 to the release's newest loads with any IR version up to the release's newest. One newer of either is
refused. The first and last patch of a minor release do not differ. No opset needs an IR version newer than 7, in
onnxruntime or in onnx.checker, so an artefact has that one at every opset. tests/export/test_old_runtimes.py repeats
the measurement for some of the releases.
"""

import re
from dataclasses import dataclass

from ..errors import ExportError

OLDEST_OPSET = 13
OPSET, IR_VERSION = 13, 7  # loaded by every release below


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to write a file for.

    opset: ONNX opset version.
    ir_version: version of the ONNX file format.
    name: prefix of the symbols in C; None for one made of the data's name.
    frame: width and height of a camera's frames, in C; None for none.
    """

    opset: int = OPSET
    ir_version: int = IR_VERSION
    name: str | None = None
    frame: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Release:
    """The newest versions that an onnxruntime release loads.

    opset: ONNX opset version; a file in onnxruntime's own format keeps that of its ONNX file, with the same limit.
    ir: version of the ONNX file format.
    ort: version of onnxruntime's own format, in which the release also writes.
    """

    opset: int
    ir: int
    ort: int


RELEASES = {
    (1, 15): Release(opset=18, ir=9, ort=5),
    (1, 16): Release(opset=19, ir=9, ort=6),
    (1, 17): Release(opset=20, ir=9, ort=6),
    (1, 18): Release(opset=21, ir=10, ort=6),
    (1, 19): Release(opset=21, ir=10, ort=6),
    (1, 20): Release(opset=21, ir=10, ort=6),
    (1, 21): Release(opset=22, ir=10, ort=6),
    (1, 22): Release(opset=22, ir=10, ort=6),
    (1, 23): Release(opset=23, ir=11, ort=6),
    (1, 24): Release(opset=25, ir=13, ort=6),
    (1, 25): Release(opset=26, ir=13, ort=6),
    (1, 26): Release(opset=26, ir=13, ort=6),
    (1, 27): Release(opset=26, ir=13, ort=6),
    (1, 28): Release(opset=26, ir=13, ort=6),
    (1, 29): Release(opset=26, ir=13, ort=6),
    (1, 30): Release(opset=26, ir=13, ort=6),
    (1, 31): Release(opset=26, ir=13, ort=6),
    (1, 32): Release(opset=28, ir=14, ort=6),
}


def release(version: str) -> Release:
    """Look up an onnxruntime version; one newer than the table loads what the table's newest loads.

    version: `1.17` or `1.17.3`; a suffix, as in `1.17.0.dev20240101` or `1.17.3+cpu`, is ignored.
    Raises ExportError for text that is not a version, and for a version older than the table's oldest.
    """
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})(\.[0-9]{1,4})?([.+-]?[a-z][a-z0-9.+-]*)?", version)
    if not match:
        raise ExportError(
            f"expected a version of onnxruntime, such as 1.17 or 1.17.3, found {version!r}: "
            '`python -c "import onnxruntime; print(onnxruntime.__version__)"` tells it where the artefact will run'
        )
    number = int(match[1]), int(match[2])
    oldest, newest = min(RELEASES), max(RELEASES)
    if number < oldest:
        raise ExportError(
            f"expected onnxruntime {oldest[0]}.{oldest[1]} or newer, found {version}: "
            "upgrade it where the artefact will run"
        )
    return RELEASES[min(number, newest)]
