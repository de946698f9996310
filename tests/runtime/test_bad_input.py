"""Every kind of bad input and the exact words that it is answered with.

In messages `{folder}` is where the files of a test lie, and `<…>` stands for words of onnxruntime, Pillow or Python,
which differ by version.
"""

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import runtime
from runtime import ArtefactError, Classifier, InputError, KitError
from runtime.artefact import SEAL_START, UNSEALED, seal


class Given(NamedTuple):
    """What a case has to work with."""

    classifier: Classifier
    model: Path
    folder: Path
    torchscript: Path


Case = tuple[Callable[[Given], Any], str]
GREY = np.zeros((8, 8), np.uint8)
LONG = "x" * 300


@pytest.fixture
def given(model: Path, exported: dict[str, Path], tmp_path: Path) -> Given:
    return Given(runtime.load(model), model, tmp_path, exported["torchscript"])


def encoded(image: Image.Image, format: str = "PNG") -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def noise(format: str) -> bytes:  # noqa: A002
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), format)


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


def load(model: Any = None, **settings: Any) -> Callable[[Given], Any]:
    return lambda given: runtime.load(model or given.model, **settings)


def artefact_file(content: Callable[[bytes], bytes]) -> Callable[[Given], Any]:
    """Load a file with what this makes of a good one's content."""

    def call(given: Given) -> Any:
        path = given.folder / "model.onnx"
        path.write_bytes(content(given.model.read_bytes()))
        return runtime.load(path)

    return call


def changed(edit: Callable[[onnx.ModelProto], Any], **entries: Any) -> Callable[[Given], Any]:
    """Load a file with its protobuf edited and some entries replaced, sealed as if it were right; None removes one."""

    def content(data: bytes) -> bytes:
        proto = onnx.load_from_string(data)
        edit(proto)
        props = {prop.key: prop.value for prop in proto.metadata_props}
        props |= {
            f"kit.{name}": value if isinstance(value, str) else json.dumps(value) for name, value in entries.items()
        }
        props["kit.seal"] = (SEAL_START + UNSEALED).decode()
        helper.set_model_props(proto, {name: text for name, text in props.items() if text != "null" or "_" in name})
        return seal(proto.SerializeToString())

    return artefact_file(content)


def entries(**values: Any) -> Callable[[Given], Any]:
    return changed(lambda _: None, **values)


def external(location: str) -> Callable[[onnx.ModelProto], None]:
    """Move the weights to another file."""

    def edit(proto: onnx.ModelProto) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return edit


def external_constant(proto: onnx.ModelProto) -> None:
    """Two branches deep, as an attribute of a node."""
    tensor = TensorProto(data_type=1, dims=[1], data_location=TensorProto.EXTERNAL, name="c")
    tensor.external_data.add(key="location", value="secret.bin")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
    outer = helper.make_graph(
        [helper.make_node("If", ["no"], ["i"], then_branch=inner, else_branch=inner)], "o", [], []
    )
    proto.graph.node.append(helper.make_node("If", ["no"], ["o"], then_branch=outer, else_branch=outer))


def exploding(proto: onnx.ModelProto) -> None:
    """Make a graph that onnxruntime opens, and that needs 16 TB to run."""
    graph, last = proto.graph, proto.graph.node[-1]
    graph.initializer.append(helper.make_tensor("count", TensorProto.INT64, [1], [2**42]))
    last.output[0] = "before"
    graph.node.append(helper.make_node("ConstantOfShape", ["count"], ["many"]))
    graph.node.append(helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0))
    graph.node.append(helper.make_node("Add", ["before", "sum"], ["probabilities"]))


def renamed(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "x"


def attribute(name: str, value: Any) -> Callable[[onnx.ModelProto], Any]:
    return lambda proto: setattr(proto, name, value)


def not_utf8(data: bytes) -> bytes:
    """Spoil the name of a property; a protobuf library would not write it."""
    place = data.index(SEAL_START) + len(SEAL_START)
    unsealed = data[:place] + UNSEALED + data[place + 64 :]
    return seal(unsealed.replace(b"kit.golden", b"kit.gold\xff\xfe"))


def lazy(data: bytes) -> Image.Image:
    """A Pillow image whose pixels are not decoded yet."""
    return Image.open(io.BytesIO(data))


def spooled(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


class Nowhere(os.PathLike):  # type: ignore[type-arg]
    def __fspath__(self) -> Any:
        return 3


DTYPE = "expected uint8 pixels 0-255, got {}: pass raw pixels, the model scales them itself"
SHAPE = "expected [H, W], [H, W, 1] or [H, W, 3], got {}"
KIND = "expected a uint8 array, a Pillow image, a path or the bytes of an encoded image, found {}"
ROWS = "expected uint8 [N, 8, 8, 1], got {}: classify_batch takes images of other sizes"
CUT = "these bytes: expected a whole image, found one that cannot be decoded (<…>)"
NO_IMAGE = "these bytes: expected an image file (PNG, JPEG, …), found {}"
UNREAD = "expected an image file that can be read, found: {}"
PIPE = "expected an image file, found a device or a pipe: pass the bytes, or name a file"
TOP = "expected top_k of at least 1, got {}"
ABSENT = "expected an artefact, found: {}: make one with `kit export --format onnx`"
SEALS = (
    "{{folder}}/model.onnx: expected an artefact made by `kit export`, with a seal, found {} seals in it: export it "
    "again"
)
DAMAGED = (
    "{folder}/model.onnx: expected the content that the file was sealed with, <…>…, found <…>…: it was damaged on its "
    "way, copy it again"
)
REFUSED = (
    "{folder}/model.onnx: expected an ONNX file that onnxruntime <…> loads, found one that it refuses (<…>): export it "
    "again, or for an older runtime"
)
OUTSIDE = "{folder}/model.onnx: expected all weights in the file, found some that it takes from others: export it again"
THREADS = "{{model}}: expected at least 1 thread, found {}: leave it out for 1"
PROVIDERS = (
    "{{model}}: expected providers out of <…>, found {}: install an onnxruntime that has them, or leave providers out"
)
LIST = "expected a list of providers, found {}: leave it out for the CPU"
SIGNATURE = (
    "{{folder}}/model.onnx: expected images: uint8 [N, 8, 8, 1] → probabilities: float32 [N, 10], found {}: export it "
    "again"
)


def entry(name: str, expected: str, found: str) -> str:
    return f"{{folder}}/model.onnx: kit.{name}: expected {expected}, found {found}: export the artefact again"


LABELS = "at least 2 different, non-empty strings"
IMAGE = "height, width, color, fit and filter that this version knows"
STATISTICS = "mean and std, a finite number a channel, and an appearance that this version knows"
GOLDEN = "8×8×1 images with 10 probabilities each, and a tolerance"
BOX = {"height": 8, "width": 8, "color": "L", "fit": "stretch", "filter": "bilinear"}

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
    "a batch of None": (batch(None), "expected images one after another, as in a list, got NoneType"),
    "a batch that is a number": (batch(3), "expected images one after another, as in a list, got int"),
    "a bad image in a batch": (batch([GREY, None]), "image 1: " + KIND.format("NoneType")),
    "an image as a batch": (batch(GREY), "image 0: " + SHAPE.format("[8]")),
    "bytes as a batch": (batch(b"x"), "image 0: " + KIND.format("int")),
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
        "expected 8-bit or 16-bit pixels, got a floating-point image: save it as 8-bit first",
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

ARTEFACT: dict[str, Case] = {
    "an absent file": (load("absent.onnx"), "absent.onnx: " + ABSENT.format("No such file or directory")),
    "a folder": (load("/"), "/: " + ABSENT.format("Is a directory")),
    "a name with a NUL": (load("a\0"), "a\0: " + ABSENT.format("embedded null byte")),
    "a long name": (load(LONG), f"{LONG}: " + ABSENT.format("File name too long")),
    "/dev/null": (load("/dev/null"), "/dev/null: expected an artefact, found a device or a pipe: name a file"),
    "a pipe": (
        lambda given: os.mkfifo(given.folder / "p") or runtime.load(given.folder / "p"),  # type: ignore[func-returns-value]
        "{folder}/p: expected an artefact, found a device or a pipe: name a file",
    ),
    "3 GB": (
        lambda given: spooled(given.folder / "m", 3 * 2**30) or runtime.load(given.folder / "m"),  # type: ignore[func-returns-value]
        "{folder}/m: expected an artefact of at most 2 GB, found a larger file",
    ),
    "a number": (load(3), "expected the path or the bytes of an artefact, found int"),
    "a list": (load([1]), "expected the path or the bytes of an artefact, found list"),
    "a memoryview": (load(memoryview(b"x")), "expected the path or the bytes of an artefact, found memoryview"),
    "None to classify with": (
        lambda _: runtime.classify(GREY, model=None),  # type: ignore[arg-type]
        "expected the path or the bytes of an artefact, found NoneType",
    ),
    "a path that is none": (load(Nowhere()), "expected the path or the bytes of an artefact, found Nowhere"),
    "an empty file": (artefact_file(lambda _: b""), SEALS.format(0)),
    "text": (artefact_file(lambda _: b"model"), SEALS.format(0)),
    "a picture": (artefact_file(lambda _: noise("PNG")), SEALS.format(0)),
    "a zip file": (
        lambda given: runtime.load(given.torchscript),
        "{torchscript}: expected an ONNX artefact, found a zip file, as torch writes: export with `--format onnx`, or "
        "open it with torch",
    ),
    "half a file": (artefact_file(lambda data: data[: len(data) // 4]), SEALS.format(0)),
    "all but the last byte": (artefact_file(lambda data: data[:-1]), "<…>/model.onnx: expected <…>"),
    "a byte too many": (artefact_file(lambda data: data + b"x"), DAMAGED),
    "a byte changed": (artefact_file(lambda data: bytes([data[0] ^ 1]) + data[1:]), DAMAGED),
    "two seals": (artefact_file(lambda data: data + SEAL_START + UNSEALED), SEALS.format(2)),
    "a seal alone": (artefact_file(lambda _: seal(SEAL_START + UNSEALED)), REFUSED),
    "not UTF-8": (
        artefact_file(not_utf8),
        "{folder}/model.onnx: expected names and metadata in UTF-8, found other bytes: export it again",
    ),
    "a new opset": (changed(lambda proto: setattr(proto.opset_import[0], "version", 999)), REFUSED),
    "a new IR": (changed(attribute("ir_version", 99)), REFUSED),
    "no opset": (changed(lambda proto: proto.ClearField("opset_import")), REFUSED),
    "no graph": (changed(lambda proto: proto.ClearField("graph")), REFUSED),
    "no weights": (changed(lambda proto: proto.graph.ClearField("initializer")), REFUSED),
    "an unknown operator": (changed(lambda proto: setattr(proto.graph.node[0], "op_type", "NoSuch")), REFUSED),
    "a foreign domain": (changed(lambda proto: setattr(proto.graph.node[0], "domain", "evil")), REFUSED),
    "a cycle": (
        changed(lambda proto: proto.graph.node[0].input.__setitem__(0, "probabilities")),
        REFUSED,
    ),
    "weights of huge dimensions": (
        changed(lambda proto: proto.graph.initializer[0].dims.__setitem__(0, 2**40)),
        REFUSED,
    ),
    "weights of negative dimensions": (
        changed(lambda proto: proto.graph.initializer[0].dims.__setitem__(0, -64)),
        REFUSED,
    ),
    "weights in a file beside it": (changed(external("secret.bin")), OUTSIDE),
    "weights in a file above it": (changed(external("../../secret.bin")), OUTSIDE),
    "weights in /etc/passwd": (changed(external("/etc/passwd")), OUTSIDE),
    "weights at an address": (changed(external("*/_ORT_MEM_ADDR_/*")), OUTSIDE),
    "a constant in a file": (changed(external_constant), OUTSIDE),
    "another name of the input": (
        changed(renamed),
        SIGNATURE.format("x: uint8 ['N', 8, 8, 1] → probabilities: float ['N', 10]"),
    ),
    "a fixed number of images": (
        changed(lambda proto: setattr(proto.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 4)),
        SIGNATURE.format("images: uint8 [4, 8, 8, 1] → probabilities: float [<…>, 10]"),
    ),
    "0 threads": (load(threads=0), THREADS.format("0")),
    "a text as threads": (load(threads="1"), THREADS.format("'1'")),
    "a truth as threads": (load(threads=True), THREADS.format("True")),
    "half a thread": (load(threads=0.5), THREADS.format("0.5")),
    "too many threads": (
        load(threads=2**31),
        "{model}: expected at most 1,024 threads, found 2147483648: leave it out for 1",
    ),
    "no providers": (load(providers=()), PROVIDERS.format("none")),
    "an unknown provider": (load(providers=["NPU"]), PROVIDERS.format("NPU")),
    "a provider that is a number": (load(providers=[3]), PROVIDERS.format("3")),
    "providers that are no list": (load(providers=None), LIST.format("None")),
    "a provider outside a list": (load(providers="NPU"), LIST.format("'NPU'")),
    "memory that is not there": (
        lambda given: changed(exploding)(given).probabilities(GREY[None, ..., None]),
        "expected a graph that gives [N, K] probabilities, found one that does not (<…>): export it again",
    ),
}

METADATA: dict[str, Case] = {
    "no JSON": (entries(labels="{"), "{folder}/model.onnx: kit.labels: expected JSON, found '{{': export it again"),
    "deep JSON": (
        entries(labels="[" * 100_000),
        f"{{folder}}/model.onnx: kit.labels: expected JSON, found '{'[' * 40}': export it again",
    ),
    "no version number": (
        entries(version="one"),
        "{folder}/model.onnx: kit.version: expected JSON, found 'one': export it again",
    ),
    "a version of one part": (entries(version='"1"'), entry("version", "MAJOR.MINOR", "'1'")),
    "a later version": (
        entries(version='"2.0"'),
        "{folder}/model.onnx: expected an artefact of format 1.x, found 2.0: upgrade softmax-kit here, or export with "
        "an older one",
    ),
    "one label": (entries(labels=["a"]), entry("labels", LABELS, "['a']")),
    "equal labels": (entries(labels=["a", "a"]), entry("labels", LABELS, "['a', 'a']")),
    "an empty label": (entries(labels=["a", ""]), entry("labels", LABELS, "['a', '']")),
    "labels in lists": (entries(labels=[["a"], ["b"]]), entry("labels", LABELS, "[['a'], ['b']]")),
    "labels that are a text": (entries(labels='"ab"'), entry("labels", LABELS, "'ab'")),
    "two labels of ten": (
        entries(labels=["a", "b"]),
        entry("golden", "8×8×1 images with 2 probabilities each, and a tolerance", "{{'images': <…>..."),
    ),
    "an image that is a list": (entries(image=[]), entry("image", IMAGE, "[]")),
    "an image without a height": (entries(image={"width": 8}), entry("image", IMAGE, "{{'width': 8}}")),
    "a height of 0": (entries(image=BOX | {"height": 0}), entry("image", IMAGE, "{{<…>...")),
    "a huge height": (entries(image=BOX | {"height": 10**9}), entry("image", IMAGE, "{{<…>...")),
    "a height that is a text": (entries(image=BOX | {"height": "8"}), entry("image", IMAGE, "{{<…>...")),
    "an unknown colour": (entries(image=BOX | {"color": "CMYK"}), entry("image", IMAGE, "{{<…>...")),
    "colour in place of grey": (
        entries(image=BOX | {"color": "RGB"}),
        entry("pixel_statistics", "3 channels", "PixelStatistics(<…>..."),
    ),
    "another size than the graph's": (
        entries(image=BOX | {"height": 4, "width": 16}),
        "{folder}/model.onnx: expected images: uint8 [N, 4, 16, 1] → probabilities: float32 [N, 10], found images: "
        "uint8 ['N', 8, 8, 1] → probabilities: float ['N', 10]: export it again",
    ),
    "statistics that are a list": (entries(pixel_statistics=[]), entry("pixel_statistics", STATISTICS, "[]")),
    "statistics that are infinite": (
        entries(pixel_statistics='{"mean":[1e999],"std":[1]}'),
        entry("pixel_statistics", STATISTICS, "{{'mean': [inf], 'std': [1]}}"),
    ),
    "a number too large": (
        entries(pixel_statistics='{"mean":[1' + "0" * 400 + '],"std":[1]}'),
        entry("pixel_statistics", STATISTICS, "{{'mean': [1000<…>..."),
    ),
    "an appearance of texts": (
        entries(pixel_statistics={"mean": [1], "std": [1], "appearance": "dark"}),
        entry("pixel_statistics", STATISTICS, "{{'mean': [1], 'std': [1], 'appearance': 'dark'}}"),
    ),
    "golden examples that are a number": (entries(golden=3), entry("golden", GOLDEN, "3")),
    "no golden examples": (
        entries(golden={"images": "", "probabilities": [], "tolerance": 0.1}),
        entry("golden", GOLDEN, "{{'images': '', 'probabilities': [], 'tolerance': 0.1}}"),
    ),
    "golden examples in no base64": (
        entries(golden={"images": "?", "probabilities": [], "tolerance": 0.1}),
        entry("golden", GOLDEN, "{{'images': '?', 'probabilities': [], 'tolerance': 0.1}}"),
    ),
    "provenance that is a text": (entries(provenance='"me"'), entry("provenance", "an object", "'me'")),
    "provenance that is a list": (entries(provenance=[]), entry("provenance", "an object", "[]")),
}

CASES = [
    pytest.param(*case, error, id=f"{kind}: {name}".replace("\0", "NUL"))
    for kind, table, error in (
        ("input", INPUT, InputError), ("artefact", ARTEFACT, ArtefactError), ("metadata", METADATA, ArtefactError)
    )
    for name, case in table.items()
]  # fmt: skip


@pytest.mark.parametrize(("call", "message", "error"), CASES)
def test_bad_input(
    given: Given, call: Callable[[Given], Any], message: str, error: type[KitError], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error) as caught:
        call(given)
    assert type(caught.value) is error
    words = message.format(folder=given.folder, model=given.model, torchscript=given.torchscript)
    assert re.fullmatch(re.escape(words).replace("<…>", ".+"), str(caught.value), re.DOTALL), str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "layout",
    [
        lambda: GREY[::-1, ::-1],
        lambda: GREY.view(np.recarray),
        lambda: np.ma.masked_array(GREY, GREY == 0),
        lambda: np.asmatrix(GREY),
        lambda: np.broadcast_to(np.uint8(0), (8, 8)),
        lambda: np.asmatrix(np.zeros((9, 9), np.uint8)),
    ],
    ids=["reversed", "records", "masked", "matrix", "broadcast", "other matrix"],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")  # which is why it is here
def test_odd_arrays_that_are_fine(
    given: Given, layout: Callable[[], Any], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given.classifier._watch, "see", lambda _: None)
    given.classifier._watch.over = not first
    assert given.classifier.classify(layout()) == given.classifier.classify(GREY)


def test_a_graph_that_fails_later_on(given: Given) -> None:
    """In the calls after the first ones, which run on buffers of their own."""
    classifier = changed(exploding)(given)
    classifier._watch.over = True
    for call in (lambda: classifier.classify(GREY), lambda: classifier.classify_batch([GREY]), classifier.selftest):
        with pytest.raises(ArtefactError, match=re.escape("expected a graph that gives [N, K] probabilities")):
            call()


def test_external_data_is_no_word() -> None:
    """Names and labels may have the word that such a tensor must have."""
    from runtime.external import has_external_data

    node = helper.make_node("Identity", ["location"], ["y"], name="location", doc_string="external_data")
    value = helper.make_tensor_value_info("location", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([node], "g", [value], [value]))
    helper.set_model_props(model, {"location": "secret.bin"})
    data = model.SerializeToString()
    assert not any(has_external_data(data[:size]) for size in range(len(data) + 1))
