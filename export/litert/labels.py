"""The labels where LiteRT's own tools look for them: TensorFlow Lite Model Metadata 1.0, and a zip file at the end."""

import io
import re
import zipfile
from collections.abc import Callable, Sequence

import flatbuffers

from runtime.artefact import INPUT, OUTPUT, Metadata

METADATA, IDENTIFIER, VERSION = "TFLITE_METADATA", b"M001", "1.0.0"
LABELS = "labels.txt"
AXIS_LABELS, IMAGE_PROPERTIES, RGB, GREY = 2, 2, 1, 2  # of the schema's enumerations
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of zip files


def with_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """Append a zip file of LABELS: a label a line, with spaces for its line breaks."""
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a") as file:
        lines = "".join(re.sub(r"[\r\n]+", " ", label) + "\n" for label in labels)
        file.writestr(zipfile.ZipInfo(LABELS, FIRST_DAY), lines.encode())
    return buffer.getvalue()


def model_metadata(metadata: Metadata) -> bytes:
    """Say that the input is an image, and that LABELS names the output's classes."""
    builder = flatbuffers.Builder()
    text, offset, byte = builder.CreateString, builder.PrependUOffsetTRelativeSlot, builder.PrependInt8Slot
    number = builder.PrependUint32Slot

    def table(*fields: tuple[int, Callable[[int, int, int], None], int]) -> int:
        """Write a table's fields: its number, how to write it, and the value."""
        builder.StartObject(1 + max(place for place, _, _ in fields))
        for place, write, value in fields:
            write(place, value, 0)
        return int(builder.EndObject())

    def listed(item: int) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(item)
        return int(builder.EndVector())

    image = metadata.image
    size = table((0, number, image.width), (1, number, image.height))
    properties = table((0, byte, RGB if image.channels == 3 else GREY), (1, offset, size))
    content = table((0, byte, IMAGE_PROPERTIES), (1, offset, properties))
    source = table((0, offset, text(INPUT)), (3, offset, content))
    labels = table((0, offset, text(LABELS)), (2, byte, AXIS_LABELS))
    result = table((0, offset, text(OUTPUT)), (6, offset, listed(labels)))
    graph = table((2, offset, listed(source)), (3, offset, listed(result)))
    root = table((0, offset, text("softmax regression")), (3, offset, listed(graph)), (7, offset, text(VERSION)))
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())
