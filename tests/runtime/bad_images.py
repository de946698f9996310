"""Bad images and settings, each with the exact words that it is answered with."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.runtime.given import GREY, LONG, Case, Given, Nowhere, encoded, noise, spooled


def classify(image: Any, **settings: Any) -> Callable[[Given], Any]:
    return lambda given: given.classifier.classify(image, **settings)


def batch(images: Any) -> Callable[[Given], Any]:
    return lambda given: given.classifier.classify_batch(images)


def rows(pixels: Any) -> Callable[[Given], Any]:
    return lambda given: given.classifier.probabilities(pixels)


def image_file(content: bytes | Callable[[Path], Any]) -> Callable[[Given], Any]:
    """Classify a file with this content, or that this makes."""

    def call(given: Given) -> Any:
        path = given.folder / "image.png"
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        return given.classifier.classify(path)

    return call


def lazy(data: bytes) -> Image.Image:
    """A Pillow image whose pixels are not decoded yet."""
    return Image.open(io.BytesIO(data))


DTYPE = "expected uint8 pixels 0-255, got {}: pass raw pixels, the model scales them itself"
SHAPE = "expected [H, W], [H, W, 1] or [H, W, 3], got {}"
KIND = "expected a uint8 array, a Pillow image, a path or the bytes of an encoded image, found {}"
ROWS = "expected uint8 [N, 8, 8, 1], got {}: classify_batch takes images of other sizes"
CUT = "these bytes: expected a whole image, found one that cannot be decoded (<…>)"
NO_IMAGE = "these bytes: expected an image file (PNG, JPEG, …), found {}"
UNREAD = "expected an image file that can be read, found: {}"
PIPE = "expected an image file, found a device or a pipe: pass the bytes, or name a file"
SEVERAL = "expected images [N, 8, 8, 1] or a list of images, got {}: pass one image to classify"
LIST = "expected images one after another, as in a list, got {}"
ONE = "one, a {}: pass it to classify"
TOP = "expected top_k of at least 1, got {}"

INPUT: dict[str, Case] = {
    "float32": (classify(GREY.astype(np.float32)), DTYPE.format("float32")),
    "float16": (classify(GREY.astype(np.float16)), DTYPE.format("float16")),
    "bool": (classify(GREY.astype(bool)), DTYPE.format("bool")),
    "int8": (classify(GREY.astype(np.int8)), DTYPE.format("int8")),
    "uint16": (classify(GREY.astype(np.uint16)), DTYPE.format("uint16")),
    "complex": (classify(GREY.astype(complex)), DTYPE.format("complex128")),
    "objects": (classify(np.array([None])), DTYPE.format("object")),
    "dates": (classify(np.zeros((8, 8), "M8[s]")), DTYPE.format("datetime64[s]")),
    "texts": (classify(np.zeros((8, 8), "U3")), DTYPE.format("<U3")),
    "records": (classify(np.zeros((8, 8), [("a", "u1")])), DTYPE.format("[('a', 'u1')]")),
    "masked floats": (classify(np.ma.masked_array(GREY / 1.0)), DTYPE.format("float64")),
    "no axis": (classify(np.array(3, np.uint8)), SHAPE.format("[]")),
    "one axis": (classify(GREY[0]), SHAPE.format("[8]")),
    "two channels": (classify(np.zeros((8, 8, 2), np.uint8)), SHAPE.format("[8, 8, 2]")),
    "four channels": (classify(np.zeros((8, 8, 4), np.uint8)), SHAPE.format("[8, 8, 4]")),
    "channels first": (classify(np.zeros((3, 8, 8), np.uint8)), SHAPE.format("[3, 8, 8]")),
    "four axes": (classify(GREY[None, ..., None]), SHAPE.format("[1, 8, 8, 1]")),
    "no rows": (classify(GREY[:0]), SHAPE.format("[0, 8, 1]")),
    "no columns": (classify(np.zeros((8, 0, 3), np.uint8)), SHAPE.format("[8, 0, 3]")),
    "a number of numpy's": (classify(np.uint8(3)), KIND.format("uint8")),
    "None": (classify(None), KIND.format("NoneType")),
    "a number": (classify(7), KIND.format("int")),
    "a truth": (classify(True), KIND.format("bool")),
    "a list": (classify([[0]]), KIND.format("list")),
    "a memoryview": (classify(memoryview(b"x")), KIND.format("memoryview")),
    "an open file": (classify(io.BytesIO()), KIND.format("BytesIO")),
    "a class": (classify(Image.Image), KIND.format("type")),
    "of Pillow but no image": (classify(Image.Exif()), KIND.format("Exif")),
    "rows of floats": (rows(np.zeros((2, 8, 8, 1))), ROWS.format("float64 [2, 8, 8, 1]")),
    "rows without channels": (rows(GREY[None]), ROWS.format("uint8 [1, 8, 8]")),
    "rows of another size": (rows(np.zeros((2, 9, 8, 1), np.uint8)), ROWS.format("uint8 [2, 9, 8, 1]")),
    "rows of objects": (rows(np.zeros((1, 8, 8, 1), object)), ROWS.format("object [1, 8, 8, 1]")),
    "rows in a list": (rows([GREY]), ROWS.format("list")),
    "a batch of None": (batch(None), LIST.format("NoneType")),
    "a batch that is a number": (batch(3), LIST.format("int")),
    "a bad image in a batch": (batch([GREY, None]), "image 1: " + KIND.format("NoneType")),
    "an image as a batch": (batch(GREY), SEVERAL.format("uint8 [8, 8]")),
    "an image with channels as a batch": (batch(GREY[..., None]), SEVERAL.format("uint8 [8, 8, 1]")),
    "a photo as a batch": (batch(np.zeros((480, 640, 3), np.uint8)), SEVERAL.format("uint8 [480, 640, 3]")),
    "grey images of another size": (batch(np.zeros((9, 8, 7), np.uint8)), SEVERAL.format("uint8 [9, 8, 7]")),
    "five axes as a batch": (batch(GREY[None, None, ..., None]), SEVERAL.format("uint8 [1, 1, 8, 8, 1]")),
    "no axis as a batch": (batch(np.array(3, np.uint8)), SEVERAL.format("uint8 []")),
    "one axis as a batch": (batch(GREY[0]), "image 0: " + KIND.format("uint8")),
    "bytes as a batch": (batch(b"x"), LIST.format(ONE.format("bytes"))),
    "a name as a batch": (batch("a.png"), LIST.format(ONE.format("str"))),
    "a Pillow image as a batch": (batch(Image.new("L", (8, 8))), LIST.format(ONE.format("Image"))),
    "top_k 0": (classify(GREY, top_k=0), TOP.format("0")),
    "top_k -1": (classify(GREY, top_k=-1), TOP.format("-1")),
    "top_k 1.0": (classify(GREY, top_k=1.0), TOP.format("1.0")),
    "top_k a text": (classify(GREY, top_k="1"), TOP.format("'1'")),
    "top_k None": (classify(GREY, top_k=None), TOP.format("None")),
    "no bytes": (classify(b""), NO_IMAGE.format("nothing (0 bytes)")),
    "zeros": (classify(bytes(99)), NO_IMAGE.format("99 bytes that begin " + repr(bytes(8)))),
    "text": (classify(bytearray(b"not an image")), NO_IMAGE.format("12 bytes that begin b'not an i'")),
    "only PNG's signature": (
        classify(b"\x89PNG\r\n\x1a\n"),
        NO_IMAGE.format(r"8 bytes that begin b'\x89PNG\r\n\x1a\n'"),
    ),
    "half a PNG": (classify(noise("PNG")[:6000]), CUT),
    "half a JPEG": (classify(noise("JPEG")[:2000]), CUT),
    "half a GIF": (classify(noise("GIF")[:2000]), CUT),
    "half a BMP": (classify(noise("BMP")[:6000]), CUT),
    "a bomb": (
        classify(encoded(Image.new("1", (30_000, 30_000)))),
        "these bytes: expected at most 64,000,000 pixels, found more: shrink it first",
    ),
    "a small bomb": (
        classify(encoded(Image.new("1", (8001, 8000)))),
        "these bytes: expected at most 64,000,000 pixels, found 8001 × 8000: shrink it first",
    ),
    "a Pillow image of floats": (
        classify(Image.new("F", (8, 8))),
        "expected 8-bit or 16-bit pixels, got a floating-point image: save it as 8-bit first",
    ),
    "a file of floats": (
        classify(encoded(Image.new("F", (8, 8)), "TIFF")),
        "these bytes: expected 8-bit or 16-bit pixels, got a floating-point image: save it as 8-bit first",
    ),
    "LAB": (classify(Image.new("LAB", (8, 8))), "expected an image that converts to L, got mode LAB (<…>)"),
    "La": (classify(Image.new("La", (8, 8))), "expected an image that converts to L, got mode La (<…>)"),
    "an empty Pillow image": (
        classify(Image.new("L", (0, 5))),
        "expected an image of at least 1 × 1 pixels, got 0 × 5",
    ),
    "no pixels at all": (
        classify(Image.new("RGBA", (0, 0))),
        "expected an image of at least 1 × 1 pixels, got 0 × 0",
    ),
    "damage in grey that Pillow finds late": (
        classify(lazy(encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)))[:90])),
        "expected an image that converts to L, got mode L (<…>)",
    ),
    "damage that Pillow finds late": (
        classify(lazy(noise("PNG")[:6000])),
        "expected an image that converts to L, got mode RGB (<…>)",
    ),
    "an absent file": (classify("absent.png"), "absent.png: " + UNREAD.format("No such file or directory")),
    "an empty name": (classify(""), ": " + UNREAD.format("No such file or directory")),
    "a folder": (classify(Path("/")), "/: " + UNREAD.format("Is a directory")),
    "a name with a NUL": (classify("a\0.png"), "a\0.png: " + UNREAD.format("embedded null byte")),
    "a long name": (classify(LONG), f"{LONG}: " + UNREAD.format("File name too long")),
    "a path that is none": (classify(Nowhere()), "<…>: " + UNREAD.format("<…>")),
    "/dev/null": (classify("/dev/null"), "/dev/null: " + PIPE),
    "/dev/zero": (classify(Path("/dev/zero")), "/dev/zero: " + PIPE),
    "a pipe": (image_file(os.mkfifo), "{folder}/image.png: " + PIPE),
    "an empty file": (
        image_file(b""),
        "{folder}/image.png: expected an image file (PNG, JPEG, …), found nothing (0 bytes)",
    ),
    "a large file": (
        image_file(lambda path: spooled(path, 2**26 + 1)),
        "{folder}/image.png: expected at most 64 MB, found a larger file: shrink it first",
    ),
}
