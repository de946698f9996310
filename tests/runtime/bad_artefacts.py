"""Bad artefacts, of the file and of what its metadata say, each with the exact words that it is answered with."""

import json
import os
from collections.abc import Callable
from typing import Any

import onnx
from onnx import TensorProto, helper

import runtime
from runtime.seal import EMPTY_SEAL, SEAL_START, seal
from tests.backends import NUMPY, UNREAD
from tests.runtime.given import GREY, LONG, Case, Given, Nowhere, noise, spooled


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
        props["kit.seal"] = EMPTY_SEAL.decode()
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
    unsealed = data[:place] + b"0" * 64 + data[place + 64 :]
    return seal(unsealed.replace(b"kit.golden", b"kit.gold\xff\xfe"))


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
    f"{{folder}}/model.onnx: {UNREAD} (<…>): <…>"
    if NUMPY
    else (
        "{folder}/model.onnx: expected an ONNX file that onnxruntime <…> loads, found one that it refuses (<…>): "
        "export it again, or for an older runtime"
    )
)
OUTSIDE = "{folder}/model.onnx: expected all weights in the file, found some in other files: export it again"
THREADS = "{{model}}: expected 1 to 1,024 threads, found {}: leave it out for 1"
PROVIDERS = (
    "{{model}}: expected no threads, spinning or providers for the backend numpy<…>"
    if NUMPY
    else (
        "{{model}}: expected providers out of <…>, found {}: install an onnxruntime that has them, or leave "
        "providers out"
    )
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
    "two seals": (artefact_file(lambda data: data + EMPTY_SEAL), SEALS.format(2)),
    "a seal alone": (artefact_file(lambda _: seal(EMPTY_SEAL)), REFUSED),
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
    **({} if NUMPY else {"a constant in a file": (changed(external_constant), OUTSIDE)}),  # numpy leaves it out
    "another name of the input": (
        changed(renamed),
        SIGNATURE.format("x: uint8 [N, 8, 8, 1] → probabilities: float32 [N, 10]"),
    ),
    "a fixed number of images": (
        changed(lambda proto: setattr(proto.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 4)),
        SIGNATURE.format("images: uint8 [4, 8, 8, 1] → probabilities: float32 [<…>, 10]"),
    ),
    "0 threads": (load(threads=0), THREADS.format("0")),
    "a text as threads": (load(threads="1"), THREADS.format("'1'")),
    "a truth as threads": (load(threads=True), THREADS.format("True")),
    "half a thread": (load(threads=0.5), THREADS.format("0.5")),
    "too many threads": (
        load(threads=2**31),
        "{model}: expected 1 to 1,024 threads, found 2147483648: leave it out for 1",
    ),
    "no providers": (load(providers=()), PROVIDERS.format("none")),
    "an unknown provider": (load(providers=["NPU"]), PROVIDERS.format("NPU")),
    "a provider that is a number": (load(providers=[3]), PROVIDERS.format("3")),
    "providers that are no list": (load(providers=None), LIST.format("None")),
    "a provider outside a list": (load(providers="NPU"), LIST.format("'NPU'")),
    "memory that is not there": (
        lambda given: changed(exploding)(given).probabilities(GREY[None, ..., None]),
        REFUSED
        if NUMPY
        else "expected a graph that gives [N, K] probabilities, found one that does not (<…>): export it again",
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
        entries(version='"3.0"'),
        "{folder}/model.onnx: expected an artefact of format 2.x or older, found 3.0: upgrade softmax-kit here, or "
        "train and export with an older one",
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
        "uint8 [N, 8, 8, 1] → probabilities: float32 [N, 10]: export it again",
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
