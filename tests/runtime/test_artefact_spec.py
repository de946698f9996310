"""docs/artefact.md against the code: whoever goes by the page reads and writes the same files."""

import base64
import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import onnxruntime
import pytest

from export.formats import FORMATS
from runtime import ArtefactError, artefact
from runtime.artefact import from_json
from tests.formats import FILES, OPENED
from tests.runtime.page import EXAMPLE, LATER_EXAMPLE, SCHEMA, VALIDATOR, document_of, texts_of
from trainer import Checkpoint

APPEARANCE = {
    "border": [1 / 16] * 16, "whole": [1 / 16] * 16, "colours": [], "least_range": 20, "least_peak": 90,
    "one": {"level": 0.1}, "several": {},
}  # fmt: skip
ABSENT = object()


def with_value(path: str, value: Any, example: Any = EXAMPLE) -> dict[str, Any]:
    """An example of the page with another value at a path such as `image.height` or `licences.0.part`."""
    document: dict[str, Any] = copy.deepcopy(example)
    *parents, last = path.split(".")
    place: Any = document
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    key = int(last) if isinstance(place, list) else last
    if value is ABSENT:
        del place[key]
    else:
        place[key] = value
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
    assert (EXAMPLE["version"], LATER_EXAMPLE["version"]) == (artefact.PLAIN_VERSION, artefact.VERSION)
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(artefact.ENTRIES)
    assert set(LATER_EXAMPLE) == {*artefact.ENTRIES, *artefact.OPTIONAL}
    for example in (EXAMPLE, LATER_EXAMPLE):
        VALIDATOR.validate(example)
        VALIDATOR.validate(json.loads(json.dumps(from_json(example).to_json())))


@pytest.mark.parametrize("name", list(FILES))
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
    ("version", "3.0"),
    ("version", "0.9"),
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


LATER_GOOD: list[tuple[str, Any]] = [
    ("version", "2.12"),
    ("image.shift", 8),
    ("image.shift", 4),
    ("image.shift", ABSENT),
    ("image.fill", [0]),
    ("image.later", [1]),
    ("golden.later", 1),
    ("centre", "bw=="),
    ("outputs", ["familiarity"]),
    ("outputs", ["later", "familiarity"]),
    ("decision.later", 1),
    ("decision.temperature", 3),
    ("decision.bias", None),
    ("decision.thresholds", []),
    ("decision.thresholds.0.probability", 0),
    ("decision.thresholds.0.later", 0),
    ("decision.thresholds.1.probability", 1),
    ("decision.sets", []),
    ("decision.familiarity", None),
    ("decision.familiarity.false_alarms", 0),
    ("licences.0.later", 1),
    ("later", {"any": ["thing"]}),
    *((name, ABSENT) for name in ("centre", "decision", "licences")),
]
RATES = ("thresholds.0.max_error", "thresholds.1.confidence", "sets.0.confidence")
SHARES = ("thresholds.0.probability", "thresholds.1.coverage", "sets.0.probability")
COUNTS = ("thresholds.0.images", "sets.0.images", "familiarity.images")
LATER_BAD: list[tuple[str, Any]] = [
    *((name, None) for name in artefact.OPTIONAL),
    *((name, {}) for name in artefact.OPTIONAL),
    *((f"decision.{field}", ABSENT) for field in LATER_EXAMPLE["decision"]),
    *((f"decision.thresholds.0.{field}", ABSENT) for field in LATER_EXAMPLE["decision"]["thresholds"][0]),
    *((f"decision.sets.0.{field}", ABSENT) for field in LATER_EXAMPLE["decision"]["sets"][0]),
    *((f"decision.familiarity.{field}", ABSENT) for field in LATER_EXAMPLE["decision"]["familiarity"]),
    *((f"decision.{path}", value) for path in RATES for value in (0, 1, -0.5, 1.5, "0.5", None, True)),
    *((f"decision.{path}", value) for path in SHARES for value in (-0.1, 1.1, "0.5", None, True)),
    *((f"decision.{path}", value) for path in COUNTS for value in (0, -1, 2.5, "3", None, True)),
    ("image.fit", "zoom"),
    ("image.fit", "crop"),
    ("image.fit", "stretch"),
    ("image.fill", ABSENT),
    ("image.fill", None),
    ("image.fill", 0),
    ("image.fill", [256]),
    ("image.fill", [-1]),
    ("image.fill", [0.5]),
    ("image.fill", ["0"]),
    ("image.fill", [True]),
    ("image.fill", []),
    ("image.fill", [0, 0]),
    ("image.shift", 9),
    ("image.shift", -1),
    ("image.shift", 2.5),
    ("image.shift", None),
    ("image.shift", "8"),
    ("image.shift", False),
    ("golden.encoding", "jpeg"),
    ("golden.encoding", None),
    ("golden.encoding", ["raw"]),
    ("centre", ""),
    ("centre", "?"),
    ("centre", [111]),
    ("outputs", []),
    ("outputs", "features"),
    ("outputs", ["familiarity", "familiarity"]),
    ("outputs", ["familiarity", "probabilities"]),
    ("outputs", ["familiarity", ""]),
    ("outputs", ["familiarity", 1]),
    ("decision.temperature", 0),
    ("decision.temperature", -1),
    ("decision.temperature", None),
    ("decision.bias", [1]),
    ("decision.bias", ["0", "0"]),
    ("decision.bias", 0),
    ("decision.thresholds", None),
    ("decision.thresholds", {}),
    ("decision.thresholds.0", None),
    ("decision.thresholds.0.label", ""),
    ("decision.thresholds.0.label", 1),
    ("decision.thresholds.0.label", ["dark"]),
    ("decision.sets", None),
    ("decision.sets.0", []),
    ("decision.familiarity", []),
    ("decision.familiarity.threshold", None),
    ("decision.familiarity.false_alarms", 1),
    ("decision.familiarity.false_alarms", -0.1),
    ("licences", []),
    ("licences.0", "MIT"),
    ("licences.0", [["part", "licence"]]),
    ("licences.0.part", ABSENT),
    ("licences.0.part", ""),
    ("licences.0.licence", None),
    ("licences.0.licence", ""),
]


@pytest.mark.parametrize(
    ("path", "value", "good"), [*((*case, True) for case in LATER_GOOD), *((*case, False) for case in LATER_BAD)]
)
def test_the_schema_and_the_runtime_agree_on_format_2(path: str, value: Any, good: bool) -> None:
    document = with_value(path, value, LATER_EXAMPLE)
    assert VALIDATOR.is_valid(document) == good
    assert accepted(document) == good


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image.fill", [0, 0, 0]),
        ("golden.images", "AAAA"),
        ("golden.encoding", "raw"),
        ("centre", "b29v"),
        ("outputs", ABSENT),
        ("outputs", ["features"]),
        ("decision.bias", [0, 0, 0]),
        ("decision.thresholds.0.label", "grey"),
        ("decision.thresholds.0.label", "dark"),
        ("decision.sets", [{"confidence": 0.9, "probability": 0.3, "images": 30}] * 2),
    ],
)
def test_what_a_schema_cannot_say_of_format_2(path: str, value: Any) -> None:
    document = with_value(path, value, LATER_EXAMPLE)
    assert VALIDATOR.is_valid(document)
    assert not accepted(document)


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


@pytest.mark.parametrize("name", list(FILES))
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


@pytest.mark.parametrize("name", OPENED)
def test_the_seal_as_the_page_has_it(name: str, exported: dict[str, Path]) -> None:
    data = exported[name].read_bytes()
    (digits,) = re.findall(rb"kit-seal-sha256:([0-9a-f]{64})", data)
    assert digits.decode() == hashlib.sha256(data.replace(digits, b"0" * 64)).hexdigest()
