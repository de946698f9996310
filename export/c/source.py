"""The C source of a model in 8 bits: the templates beside this module, filled with its numbers."""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from runtime.decision import Threshold
from runtime.image import Pixels
from runtime.text import printable
from trainer.decisions.deciding import softmax

from ..arithmetic.quantise import ZERO, Quantised
from .frames import frame_values
from .identifiers import decimal, numbers

TEMPLATES = Path(__file__).parent
MOST_SUMS = 5  # kept in registers
GOLDEN_BYTES = 2**14  # of golden images
UNIT, FRACTION = 2**24, 23  # of the answers; bits of the exponent's fraction
LARGEST_LOGIT = 2**61
# (1 + t - 2^t) / (t (1 - t)) for t in 0-1, by powers of t: minimax, relative to 2^t, by Lawson's algorithm; what it
# leaves is 9.2e-8 of the power.
CORRECTION = (0.30684826, 0.06668899, 0.01087031, 0.00187932)
LEADING = """static int32_t leading(const int32_t *sums)
{
    int32_t lead = sums[0];
    size_t k;
    for (k = 1; k < CLASSES; ++k) {
        lead = sums[k] > lead ? sums[k] : lead;
    }
    return lead;
}

"""


def sources(
    name: str, numbers_: Quantised, metadata: Metadata, frame: tuple[int, int] | None = None
) -> dict[str, bytes]:
    """Write NAME.h and NAME.c.

    name: a C identifier, the prefix of every symbol.
    frame: width and height of a camera's frames; None for none.
    """
    values = {"name": name, "NAME": name.upper(), **_shape(metadata), **_tables(numbers_, metadata)}
    values |= _kernel(len(metadata.labels))
    more: dict[str, dict[str, object]] = {}
    if metadata.decision and metadata.decision.thresholds:
        more["accepted"] = {"terms": _terms(metadata.decision.thresholds, metadata.labels)}
    if frame:
        more["frame"] = frame_values(metadata.image, frame)
    for place, suffix in (("declarations", "_declarations.in"), ("functions", ".in")):
        values[place] = "".join(filled(part + suffix, values | some).decode() for part, some in more.items())
    return {f"{name}.{kind}": filled(f"model.{kind}.in", values) for kind in "hc"}


def filled(template: str, values: Mapping[str, object]) -> bytes:
    """Fill a template."""
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values).encode()


def int8_answers(numbers_: Quantised, images: Pixels) -> NDArray[np.float64]:
    """Compute the probabilities of the file in 8 bits: logits rounded as its float32 graph rounds them.

    images: uint8 [N, H, W, C]. Returns float64 [N, K], the same on every processor.
    """
    sums = images.reshape(len(images), -1).astype(np.float64) @ (numbers_.weights.astype(np.float64) - ZERO)
    if numbers_.centre is not None:
        sums -= numbers_.offset()
        sums -= sums.max(axis=1, keepdims=True)
    return softmax((sums.astype(np.float32) * numbers_.scale + numbers_.bias).astype(np.float64))


def _shape(metadata: Metadata) -> dict[str, object]:
    height, width, channels = metadata.image.shape
    color = "grey" if channels == 1 else "red, green, blue"
    return {
        "height": height, "width": width, "channels": channels, "color": color, "classes": len(metadata.labels)
    }  # fmt: skip


def _tables(numbers_: Quantised, metadata: Metadata) -> dict[str, object]:
    levels = (numbers_.weights.astype(np.int16) - ZERO).astype(np.int8)
    few = max(1, GOLDEN_BYTES // metadata.golden.images[0].nbytes)
    golden = metadata.golden.images[:few]
    answers = np.rint(int8_answers(numbers_, golden) * UNIT).astype(np.int64)
    shift, multipliers, offsets = _fixed(numbers_)
    centre = numbers_.centre is not None
    line = "    const int32_t lead = leading(sums);\n" if centre else ""
    table = "\n/* Sums of the centre, which are subtracted. */\nstatic const int32_t CENTRE[] FLASH = {{\n{}\n}};\n"
    return {
        "weights": numbers(levels.ravel().tolist()),
        "labels": "\n".join(_label(label) for label in metadata.labels) + "\n    0",
        "centre": table.format(numbers((-numbers_.offset()).tolist())) if centre else "",
        "origin": "(int32_t)READ_LONG(CENTRE + k)" if centre else "0",
        "lead": " - lead" if centre else "",
        "leading": LEADING if centre else "",
        "lead_line": line,
        "scale": _inline(map(decimal, numbers_.scale.tolist())),
        "bias": _inline(map(decimal, numbers_.bias.tolist())),
        "shift": shift,
        "multipliers": _inline(multipliers),
        "offsets": _inline(f"{half:#010x}u" for offset in offsets for half in divmod(offset % 2**64, 2**32)),
        "golden_count": len(golden),
        "golden_images": numbers(golden.ravel().tolist()),
        "golden_answers": numbers(answers.ravel().tolist()),
        "checksum": f"{zlib.crc32(levels.tobytes()):#010x}",
        **{f"c{power}": f"{round(value * 2**32)}u" for power, value in enumerate(CORRECTION)},
    }


def _label(label: str) -> str:
    shown = label if label.isascii() and label.replace(" ", "").isalnum() else "as UTF-8"
    return f"    /* {shown} */ {', '.join(map(str, label.encode()))}, 0,"


def _inline(values: Iterable[object]) -> str:
    return f"\n{numbers(values)}\n"


def _fixed(numbers_: Quantised) -> tuple[int, list[int], list[int]]:
    """Scale and bias, times log₂e, as integers in units of 2^-(23 + shift); the shift is the finest that fits."""
    scale, bias = (values.astype(np.float64) * math.log2(math.e) for values in (numbers_.scale, numbers_.bias))
    sums = np.abs(numbers_.weights.astype(np.float64) - ZERO).sum(axis=0) * 255 + np.abs(numbers_.offset())
    largest = max(float((sums * scale + np.abs(bias)).max()) * 2 / LARGEST_LOGIT, float(scale.max()) / (2**31 - 1))
    shift = max(0, math.floor(-math.log2(largest)) - FRACTION)
    unit = 2.0 ** (FRACTION + shift)
    return shift, [round(value * unit) for value in scale.tolist()], [round(value * unit) for value in bias.tolist()]


def _kernel(classes: int) -> dict[str, object]:
    """Functions that add pixels to the sums of some classes, and the calls of them: blocks of nearly equal size."""
    count = -(-classes // MOST_SUMS)
    size, larger = divmod(classes, count)
    spans = [(size + 1, larger * (size + 1)), (size, classes)]
    spans = [(each, end) for (each, end), start in zip(spans, (0, spans[0][1]), strict=True) if end > start]
    return {
        "blocks": "\n".join(map(_block, sorted({each for each, _ in spans}))),
        "calls": "".join(
            f"    for (; k < {end}; k += {each}) {{\n"
            f"        add_{each}(pixels, count, weights + k, sums + k);\n    }}\n"
            for each, end in spans
        ),
    }


def _block(size: int) -> str:
    places = range(size)

    def lines(margin: int, line: str) -> Iterator[str]:
        return (" " * margin + line.format(k) for k in places)

    return "\n".join([
        f"static void add_{size}(const uint8_t *pixels, size_t count, const int8_t *weights, int32_t *sums)",
        "{",
        "    const uint8_t *const end = pixels + count;",
        *lines(4, "int32_t sum{0} = sums[{0}];"),
        "    for (; pixels != end; ++pixels, weights += CLASSES) {",
        "        const int pixel = *pixels;",
        "        if (pixel != 0) {",
        *lines(12, "sum{0} += pixel * (int8_t)READ_BYTE(weights + {0});"),
        "        }",
        "    }",
        *lines(4, "sums[{0}] = sum{0};"),
        "}",
        "",
    ])  # fmt: skip


def _terms(thresholds: Sequence[Threshold], labels: Sequence[str]) -> str:
    """What an accepted answer has to fulfil."""
    terms = ["label >= 0 && label < CLASSES"]
    for found in thresholds:
        limit = f"LIMIT({decimal(at_least(found.probability))}, {math.ceil(found.probability * 2**16)}u)"
        if found.label is None:
            terms.append(f"probabilities[label] >= {limit}")
        else:
            place = labels.index(found.label)
            terms.append(f"(label == {place} || probabilities[{place}] < {limit})")
    return "\n        && ".join(terms)


def at_least(value: float) -> float:
    """Return the smallest float32 that is not below `value`: a float32 is below both, or below neither."""
    found = np.float32(value)
    return float(found if float(found) >= value else np.nextafter(found, np.float32(np.inf)))


def readme(name: str, numbers_: Quantised, metadata: Metadata) -> bytes:
    """Write the folder's README.md."""
    return filled("README.md.in", _about(name, metadata) | {"weight_bytes": f"{numbers_.weights.size:,}"})


def library(name: str, metadata: Metadata) -> dict[str, bytes]:
    """Write what makes a library for Arduino of the source, by path."""
    values = _about(name, metadata)
    return {
        "library.properties": filled("library.properties.in", values),
        "examples/Classify/Classify.ino": filled("sketch.ino.in", values),
    }


def _about(name: str, metadata: Metadata) -> dict[str, object]:
    data, shape = metadata.provenance.get("data"), _shape(metadata)
    title = printable(str(data.get("name", name) if isinstance(data, dict) else name))
    row = metadata.image.width * metadata.image.channels
    digest = str(metadata.provenance.get("checkpoint", ""))
    return {"name": name, "NAME": name.upper(), "title": title, "digest": digest, "row": row, **shape}
