"""docs/artefact.md against the code: whoever goes by the page reads and writes the same files."""

import base64
import copy
import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.formats import FORMATS
from export.formats.compatibility import Target
from runtime import ArtefactError, artefact
from runtime.artefact import from_json
from runtime.image import ImageContract
from trainer import Checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "artefact.md"
EXAMPLE, SCHEMA = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
APPEARANCE = {
    "border": [1 / 16] * 16, "whole": [1 / 16] * 16, "colours": [], "least_range": 20, "least_peak": 90,
    "one": {"level": 0.1}, "several": {},
}  # fmt: skip
ABSENT = object()

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]


def texts_of(name: str, path: Path) -> dict[str, str]:
    """The entries of an artefact as JSON texts, read without any of the kit's code."""
    if FORMATS[name].suffix.endswith(".onnx"):
        props = {item.key: item.value for item in onnx.load(path).metadata_props}
    elif name == "ort":
        props = onnxruntime.InferenceSession(path.read_bytes()).get_modelmeta().custom_metadata_map
    else:
        with zipfile.ZipFile(path) as file:
            (entry,) = [entry for entry in file.namelist() if entry.endswith("/extra/kit.json")]
            return {"": file.read(entry).decode()}
    return {key.removeprefix("kit."): text for key, text in props.items() if key != "kit.seal"}


def document_of(name: str, path: Path) -> dict[str, Any]:
    entries = {entry: json.loads(text) for entry, text in texts_of(name, path).items()}
    document: dict[str, Any] = entries.get("", entries)
    return document


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The page's example with another value at a path such as `image.height`."""
    document: dict[str, Any] = copy.deepcopy(EXAMPLE)
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return document


def accepted(document: Any) -> bool:
    try:
        from_json(document)
    except ArtefactError:
        return False
    return True


def test_the_schema_is_one_and_the_example_meets_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(EXAMPLE)
    assert EXAMPLE["version"] == artefact.VERSION
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(artefact.ENTRIES)
    VALIDATOR.validate(json.loads(json.dumps(from_json(EXAMPLE).to_json())))


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_meets_the_schema(name: str, exported: dict[str, Path]) -> None:
    document = document_of(name, exported[name])
    VALIDATOR.validate(document)
    metadata = FORMATS[name].load().open_artefact(exported[name]).metadata
    assert document == json.loads(json.dumps(metadata.to_json()))
    for text in texts_of(name, exported[name]).values():
        assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


GOOD: list[tuple[str, Any]] = [
    ("version", "1.0"),
    ("version", "1.12"),
    ("labels", ["a,b", 'say "c"']),
    ("image.color", "L"),
    ("image.later", [1]),
    ("pixel_statistics", None),
    ("pixel_statistics.mean", [-1]),
    ("pixel_statistics.later", True),
    ("pixel_statistics.appearance", None),
    ("pixel_statistics.appearance", APPEARANCE),
    ("pixel_statistics.appearance", APPEARANCE | {"least_range": 0, "later": 1}),
    ("golden.later", "?"),
    ("golden.tolerance", 0.5),
    ("provenance", {}),
    ("later", {"any": ["thing"]}),
]
BAD: list[tuple[str, Any]] = [
    *((entry, ABSENT) for entry in artefact.ENTRIES),
    ("version", "2.0"),
    ("version", "1"),
    ("version", "1.x"),
    ("version", " 1.0"),
    ("version", None),
    ("version", "+1.0"),
    ("labels", ["dark"]),
    ("labels", ["dark", "dark"]),
    ("labels", ["dark", ""]),
    ("labels", ["dark", 2]),
    ("labels", ["dark", None]),
    ("labels", [["dark"], ["bright"]]),
    ("labels", None),
    ("labels", 2),
    ("image", None),
    ("image", []),
    ("image.height", ABSENT),
    ("image.height", 0),
    ("image.height", 16385),
    ("image.height", 2.5),
    ("image.height", "2"),
    ("image.height", True),
    ("image.width", None),
    ("image.color", "CMYK"),
    ("image.color", 1),
    ("image.fit", "crop"),
    ("image.fit", None),
    ("image.filter", "nearest"),
    ("image.filter", ABSENT),
    ("pixel_statistics", []),
    ("pixel_statistics", False),
    ("pixel_statistics", {}),
    ("pixel_statistics.mean", ABSENT),
    ("pixel_statistics.mean", []),
    ("pixel_statistics.mean", [1, 2]),
    ("pixel_statistics.mean", [None]),
    ("pixel_statistics.mean", ["much"]),
    ("pixel_statistics.std", 5),
    ("pixel_statistics.appearance", []),
    ("pixel_statistics.appearance", False),
    ("pixel_statistics.appearance", {}),
    ("pixel_statistics.appearance", APPEARANCE | {"border": [1.0]}),
    ("pixel_statistics.appearance", APPEARANCE | {"whole": [-1 / 16] * 16}),
    ("pixel_statistics.appearance", APPEARANCE | {"whole": [1.5] * 16}),
    ("pixel_statistics.appearance", APPEARANCE | {"colours": [0.5, 0.5]}),
    ("pixel_statistics.appearance", APPEARANCE | {"least_range": 256}),
    ("pixel_statistics.appearance", APPEARANCE | {"least_peak": -1}),
    ("pixel_statistics.appearance", APPEARANCE | {"least_peak": 256}),
    ("pixel_statistics.appearance", APPEARANCE | {"one": {"level": "low"}}),
    ("pixel_statistics.appearance", APPEARANCE | {"several": [1]}),
    ("golden", None),
    ("golden", {}),
    ("golden.images", None),
    ("golden.images", ""),
    ("golden.images", "AECA"[:3]),
    ("golden.images", "AECA/w== "),
    ("golden.images", "AECA_w=="),
    ("golden.images", [0, 64, 128, 255]),
    ("golden.probabilities", []),
    ("golden.probabilities", None),
    ("golden.probabilities", [[]]),
    ("golden.probabilities", [[0.5]]),
    ("golden.probabilities", [[0.5, None]]),
    ("golden.tolerance", 0),
    ("golden.tolerance", 1),
    ("golden.tolerance", -1e-5),
    ("golden.tolerance", None),
    ("provenance", None),
    ("provenance", []),
    ("provenance", "unknown"),
    ("labels", "ab"),
    ("labels", {"dark": 0, "bright": 1}),
    ("version", 1.0),
    ("version", "１.0"),
    ("pixel_statistics.mean", "5"),
    ("pixel_statistics.mean", ["5"]),
    ("pixel_statistics.mean", [True]),
    ("golden.probabilities", [0.5, 0.5]),
    ("golden.probabilities", [[[0.5], [0.5]]]),
    ("golden.probabilities", [["0.5", "0.5"]]),
    ("golden.probabilities", [[True, False]]),
    ("golden.tolerance", "0.5"),
    ("pixel_statistics.appearance", APPEARANCE | {"border": "1" * 16}),
    ("pixel_statistics.appearance", APPEARANCE | {"border": [True] * 16}),
    ("pixel_statistics.appearance", APPEARANCE | {"least_range": 1.5}),
    ("pixel_statistics.appearance", APPEARANCE | {"least_peak": "90"}),
    ("pixel_statistics.appearance", APPEARANCE | {"one": {"level": "1"}}),
]


@pytest.mark.parametrize(
    ("path", "value", "good"), [*((*case, True) for case in GOOD), *((*case, False) for case in BAD)]
)
def test_the_schema_and_the_runtime_agree(path: str, value: Any, good: bool) -> None:
    document = with_value(path, value)
    assert VALIDATOR.is_valid(document) == good
    assert accepted(document) == good


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image.height", 3),
        ("image.color", "RGB"),
        ("pixel_statistics", {"mean": [1, 2, 3], "std": [1, 2, 3]}),
        ("pixel_statistics.appearance", APPEARANCE | {"colours": [1 / 25] * 25}),
        ("pixel_statistics.appearance", APPEARANCE | {"least_range": 91}),
        ("golden.images", "AECA"),
        ("golden.images", "AECA/wBAgP8="),
        ("golden.probabilities", [[0.25, 0.25, 0.5]]),
        ("golden.probabilities", [[0.5, 0.5], [0.5, 0.5]]),
    ],
)
def test_what_a_schema_cannot_say(path: str, value: Any) -> None:
    document = with_value(path, value)
    assert VALIDATOR.is_valid(document)
    assert not accepted(document)


@pytest.mark.parametrize("name", list(FORMATS))
def test_golden_examples_as_the_page_encodes_them(name: str, exported: dict[str, Path], checkpoint: Checkpoint) -> None:
    document = document_of(name, exported[name])
    image = document["image"]
    shape = (-1, image["height"], image["width"], {"L": 1, "RGB": 3}[image["color"]])
    pixels = np.frombuffer(base64.b64decode(document["golden"]["images"]), np.uint8).reshape(shape)
    np.testing.assert_array_equal(pixels, checkpoint.golden_images)
    probabilities = np.array(document["golden"]["probabilities"], np.float32)
    np.testing.assert_array_equal(probabilities, checkpoint.golden_probabilities)
    if FORMATS[name].runs_on == "onnxruntime":
        (found,) = onnxruntime.InferenceSession(exported[name].read_bytes()).run(["probabilities"], {"images": pixels})
        assert np.abs(found - probabilities).max() <= document["golden"]["tolerance"]


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"])
def test_the_seal_as_the_page_has_it(name: str, exported: dict[str, Path]) -> None:
    data = exported[name].read_bytes()
    (digits,) = re.findall(rb"kit-seal-sha256:([0-9a-f]{64})", data)
    assert digits.decode() == hashlib.sha256(data.replace(digits, b"0" * 64)).hexdigest()


def rewritten(name: str, checkpoint: Checkpoint, exported: dict[str, Path], path: Path, **changes: Any) -> Path:
    """Write an artefact of digits with other metadata."""
    kind = FORMATS[name].load()
    metadata = kind.open_artefact(exported[name]).metadata._replace(**changes)
    path.write_bytes(kind.write(kind.prepare(checkpoint), metadata, Target()))
    return path


@pytest.mark.parametrize("name", list(FORMATS))
def test_entries_of_later_versions_are_kept(
    name: str,
    checkpoint: Checkpoint,
    exported: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = {"later": {"b": [1, 2.5, None], "a": "ü"}, "zones": []}
    with monkeypatch.context() as patch:
        patch.setattr(artefact, "VERSION", "1.999")
        path = rewritten(name, checkpoint, exported, tmp_path / "later", others=others)
    assert document_of(name, path)["version"] == "1.999"
    read = FORMATS[name].load().open_artefact(path).metadata
    assert read.others == others
    path = rewritten(name, checkpoint, {name: path}, tmp_path / "again")
    assert {entry: value for entry, value in document_of(name, path).items() if entry in others} == others


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_newer_major_version_is_refused(
    name: str,
    checkpoint: Checkpoint,
    exported: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(artefact, "VERSION", "2.0")
        path = rewritten(name, checkpoint, exported, tmp_path / "newer")
    message = "expected an artefact of format 1.x, found 2.0: upgrade softmax-kit here, or export with an older one"
    with pytest.raises(ArtefactError, match=re.escape(message)):
        FORMATS[name].load().open_artefact(path)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_thousand_labels_of_every_kind_survive(name: str, tmp_path: Path) -> None:
    names = ("a,b", 'say "c"', "l'été", "köln", "鞋", "حذاء", "👟", "line\nbreak", "\u2028", "\\n", "\0", " ", "null")
    labels = (*names, *(f"class {i}" for i in range(1000 - len(names))))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2, 3, 2, 3), np.uint8)
    weights = generator.normal(size=(18, 1000)).astype(np.float32)
    checkpoint = Checkpoint(
        weights=weights,
        bias=np.zeros(1000, np.float32),
        mean=np.zeros(3, np.float32),
        std=np.full(3, 255, np.float32),
        golden_images=images,
        golden_probabilities=np.full((2, 1000), 1e-3, np.float32),
        sample_images=images,
        labels=labels,
        image=ImageContract(height=3, width=2, color="RGB"),
        provenance={},
    )
    metadata = from_json(EXAMPLE)
    golden = artefact.Golden(images=images, probabilities=checkpoint.golden_probabilities, tolerance=1e-5)
    metadata = metadata._replace(labels=labels, image=checkpoint.image, pixel_statistics=None, golden=golden)
    kind = FORMATS[name].load()
    path = tmp_path / "model"
    path.write_bytes(kind.write(kind.prepare(checkpoint), metadata, Target()))
    document = document_of(name, path)
    VALIDATOR.validate(document)
    assert tuple(document["labels"]) == kind.open_artefact(path).metadata.labels == labels


def on_white(rgba: Pixels) -> Integers:
    """Step 3: [H, W, 4] → [H, W, 3]."""
    values, alpha = rgba[:, :, :3].astype(np.int64), rgba[:, :, 3:].astype(np.int64)
    return (2 * (values * alpha + 255 * (255 - alpha)) + 255) // 510


def to_grey(rgb: Integers) -> Integers:
    """Step 4: [H, W, 3] → [H, W, 1]."""
    red, green, blue = rgb[:, :, :1], rgb[:, :, 1:2], rgb[:, :, 2:]
    return 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16


def one_pass(pixels: Integers, size: int) -> Integers:
    """Step 5: [n, ...] → [size, ...]."""
    if len(pixels) == size:
        return pixels
    scale = len(pixels) / size
    reach = max(scale, 1)
    rows = []
    for x in range(size):
        c = (x + 0.5) * scale
        first, last = max(0, int(c - reach + 0.5)), min(len(pixels), int(c + reach + 0.5))
        weights = [max(0, 1 - abs(i - c + 0.5) * (1 / reach)) for i in range(first, last)]
        integers = [int(2**22 * (weight / sum(weights)) + 0.5) for weight in weights]
        rows.append(np.tensordot(integers, pixels[first:last], axes=1) + 2**21 >> 22)
    return np.stack(rows).clip(0, 255)


def resized(pixels: Integers, height: int, width: int) -> Integers:
    return one_pass(one_pass(pixels.swapaxes(0, 1), width).swapaxes(0, 1), height)


@pytest.mark.parametrize("color", ["L", "RGB"])
@pytest.mark.parametrize("seed", range(25))
def test_an_image_becomes_what_the_page_says(color: str, seed: int) -> None:
    """Steps 2 to 5, bit by bit, without Pillow."""
    generator = np.random.default_rng(seed)
    height, width, to_height, to_width = map(int, generator.integers(1, 70, 4))
    contract = ImageContract(height=to_height, width=to_width, color=color)
    rgba = generator.integers(0, 256, (height, width, 4), np.uint8)
    for image, opaque in [
        (Image.fromarray(rgba), on_white(rgba)),
        (Image.fromarray(rgba[:, :, :3]), rgba[:, :, :3].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0]), rgba[:, :, :1].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0] * np.uint16(257)), rgba[:, :, :1].astype(np.int64)),
    ]:
        channels = opaque if opaque.shape[2] == 3 else opaque.repeat(3, axis=2)
        expected = resized(to_grey(channels) if color == "L" else channels, to_height, to_width)
        np.testing.assert_array_equal(contract.pixels(image), expected)
