"""What goes with the graph: written, read, and refused where it does not fit."""

import json
import re
from typing import Any

import numpy as np
import pytest

from runtime import ArtefactError
from runtime.artefact import ENTRIES, Metadata, dumps, from_json, from_props, from_text
from runtime.golden import Golden
from runtime.image import ImageContract
from runtime.pixel_statistics import Appearance, PixelStatistics


def metadata(labels: tuple[str, ...] = ("cat", "dog")) -> Metadata:
    images = np.arange(54, dtype=np.uint8).reshape(3, 2, 3, 3)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(labels)), 3).astype(np.float32)
    return Metadata(
        labels=labels,
        image=ImageContract(height=2, width=3, color="RGB"),
        pixel_statistics=PixelStatistics(mean=(1.5, 2.5, 3.5), std=(10.0, 20.0, 30.0)),
        golden=Golden(images=images, probabilities=probabilities, tolerance=1e-5),
        provenance={"data": {"name": "pets"}},
    )


def test_reads_what_was_written() -> None:
    written = metadata()
    for found in (from_props(written.to_props()), from_text(json.dumps(written.to_json()))):
        assert (found.labels, found.image, found.provenance) == (written.labels, written.image, written.provenance)
        assert found.pixel_statistics == written.pixel_statistics
        np.testing.assert_array_equal(found.golden.images, written.golden.images)
        np.testing.assert_array_equal(found.golden.probabilities, written.golden.probabilities)
        assert found.golden.tolerance == 1e-5


def test_properties_are_json_texts_under_kit_names() -> None:
    props = metadata().to_props()
    assert list(props) == [*(f"kit.{name}" for name in ENTRIES), "kit.seal"]
    assert json.loads(props["kit.labels"]) == ["cat", "dog"]
    assert json.loads(props["kit.image"]) == {
        "height": 2, "width": 3, "color": "RGB", "fit": "stretch", "filter": "bilinear"
    }  # fmt: skip


def test_labels_of_every_kind_survive() -> None:
    labels = ("a,b", 'say "c"', "köln", "鞋", "line\nbreak", " ", "\\", *(f"class {i}" for i in range(1000)))
    assert from_props(metadata(labels).to_props()).labels == labels


def test_unknown_entries_and_newer_minor_versions_are_read() -> None:
    document = metadata().to_json() | {"version": "1.7", "later": [1, 2, 3]}
    assert from_json(document).labels == ("cat", "dog")


def test_other_properties_are_let_be() -> None:
    assert from_props(metadata().to_props() | {"author": "someone"}).labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("version", "3.0", "expected an artefact of format 2.x or older, found 3.0: upgrade softmax-kit here"),
        ("version", "one", "kit.version: expected MAJOR.MINOR, found 'one'"),
        ("version", None, "kit.version: expected MAJOR.MINOR, found None"),
        ("labels", [], "kit.labels: expected at least 2 different, non-empty strings, found []"),
        ("labels", ["cat"], "kit.labels: expected"),
        ("labels", ["cat", "cat"], "kit.labels: expected"),
        ("labels", ["cat", ""], "kit.labels: expected"),
        ("labels", ["cat", 2], "kit.labels: expected"),
        ("labels", [["cat"], ["dog"]], "kit.labels: expected"),
        ("labels", 5, "kit.labels: expected"),
        ("image", {"height": 2}, "kit.image: expected height, width, color, fit and filter"),
        (
            "image",
            {"height": -1, "width": 3, "color": "L", "fit": "stretch", "filter": "bilinear"},
            "kit.image: expected",
        ),
        ("image", {"height": 2, "width": 3, "color": "L", "fit": "crop", "filter": "bilinear"}, "kit.image: expected"),
        (
            "image",
            {"height": 2, "width": 3, "color": [], "fit": "stretch", "filter": "bilinear"},
            "kit.image: expected",
        ),
        ("image", "big", "kit.image: expected"),
        (
            "pixel_statistics",
            {},
            "kit.pixel_statistics: expected mean and std, a finite number a channel, and an appearance",
        ),
        ("pixel_statistics", {"mean": [1, 2], "std": [1, 2]}, "kit.pixel_statistics: expected"),
        ("pixel_statistics", {"mean": [1], "std": [1]}, "kit.pixel_statistics: expected"),
        ("pixel_statistics", {"mean": [1, 2, 3], "std": [1, 2, float("inf")]}, "kit.pixel_statistics: expected"),
        ("pixel_statistics", {"mean": ["x"], "std": [1]}, "kit.pixel_statistics: expected"),
        ("golden", {}, "kit.golden: expected 2×3×3 images with 2 probabilities each, and a tolerance, found {}"),
        ("golden", {"images": "", "probabilities": [], "tolerance": 1e-5}, "kit.golden: expected"),
        ("golden", {"images": "AAAA", "probabilities": [[0.5, 0.5]], "tolerance": 1e-5}, "kit.golden: expected"),
        ("golden", {"images": "?", "probabilities": [[0.5, 0.5]], "tolerance": 1e-5}, "kit.golden: expected"),
        ("golden", {"images": "A" * 24, "probabilities": [[0.5]], "tolerance": 1e-5}, "kit.golden: expected"),
        ("golden", {"images": "A" * 24, "probabilities": [[0.5, 0.5]], "tolerance": 0}, "kit.golden: expected"),
        ("golden", {"images": "A" * 24, "probabilities": [[0.5, None]], "tolerance": 0.1}, "kit.golden: expected"),
        ("golden", None, "kit.golden: expected"),
        ("provenance", [], "kit.provenance: expected an object, found []"),
    ],
)
def test_entries_that_do_not_fit(entry: str, value: Any, message: str) -> None:
    with pytest.raises(ArtefactError, match=re.escape(message)):
        from_json(metadata().to_json() | {entry: value})


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_that_are_missing(entry: str) -> None:
    props = metadata().to_props()
    del props[f"kit.{entry}"]
    message = f"expected an artefact made by `kit export`, found a file without kit.{entry}: export it again"
    with pytest.raises(ArtefactError, match=re.escape(message)):
        from_props(props)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800"])
def test_entries_that_are_no_json(text: str) -> None:
    with pytest.raises(ArtefactError, match=re.escape("kit.labels: expected JSON, found")):
        from_props(metadata().to_props() | {"kit.labels": text})


def test_a_document_that_is_no_object() -> None:
    with pytest.raises(ArtefactError, match=re.escape("kit.json: expected an object, found [1]")):
        from_text("[1]")


def test_what_is_written_exactly() -> None:
    golden = Golden(np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1), np.array([[1 / 3, 2 / 3]], np.float32), 1e-5)
    statistics = PixelStatistics(mean=(1.5,), std=(2.5,))
    written = Metadata(
        ("cat", "köln"), ImageContract(height=2, width=3), statistics, golden, {"b": 1}, others={"later": [2]}
    )
    image = {"height": 2, "width": 3, "color": "L", "fit": "stretch", "filter": "bilinear"}
    assert list(written.to_json().items()) == [
        ("version", "1.1"),
        ("labels", ["cat", "köln"]),
        ("image", image),
        ("pixel_statistics", {"mean": (1.5,), "std": (2.5,), "appearance": None}),
        ("golden", {"images": "AAECAwQF", "probabilities": [[0.333333343, 0.666666687]], "tolerance": 1e-5}),
        ("provenance", {"b": 1}),
        ("later", [2]),
    ]
    props = written.to_props()
    assert props["kit.labels"] == '["cat","köln"]'
    assert props["kit.later"] == "[2]"
    assert props["kit.seal"] == "kit-seal-sha256:" + 64 * "0"
    assert from_props(props).others == {"later": [2]}
    assert written._replace(pixel_statistics=None).to_json()["pixel_statistics"] is None


def test_json_is_the_same_text_for_equal_values() -> None:
    assert dumps({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(float("nan"))


def test_arrays_are_read_with_their_dtypes() -> None:
    golden = from_json(metadata().to_json()).golden
    assert golden.images.dtype == np.uint8
    assert golden.probabilities.dtype == np.float32


@pytest.mark.parametrize(
    ("color", "share", "colours", "least"), [("L", 0.0, 0, (0, 0)), ("RGB", 1.0, 25, (255, 255)), ("L", 0.5, 0, (1, 2))]
)
def test_appearances_survive(color: str, share: float, colours: int, least: tuple[int, int]) -> None:
    image = ImageContract(height=1, width=1, color=color)
    appearance = Appearance(
        border=(share,) * 16,
        whole=(1 - share,) * 16,
        colours=(share,) * colours,
        least_range=least[0],
        least_peak=least[1],
        one={"level": 0.25},
        several={"colour": -2.5},
    )
    channels = image.channels
    statistics = PixelStatistics(mean=(-1.0,) * channels, std=(2.0,) * channels, appearance=appearance)
    golden = Golden(np.zeros((1, *image.shape), np.uint8), np.full((1, 2), 0.5, np.float32), tolerance=0.5)
    written = Metadata(("cat", "dog"), image, statistics, golden, {})
    assert from_props(written.to_props()).pixel_statistics == statistics
    assert from_json(written.to_json()).pixel_statistics == statistics


GOLDEN = {"images": "AAAA" * 6, "probabilities": [[0.5, 0.5]], "tolerance": 0.5}


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (
            "version",
            "10.0",
            "expected an artefact of format 2.x or older, found 10.0: upgrade softmax-kit here, "
            "or train and export with an older one",
        ),
        ("version", "1." + 10 * "0", "kit.version: expected MAJOR.MINOR, found '1.0000000000': #"),
        ("version", 1, "kit.version: expected MAJOR.MINOR, found 1: #"),
        ("labels", ["cat"], "kit.labels: expected at least 2 different, non-empty strings, found ['cat']: #"),
        (
            "image",
            {"height": 2},
            "kit.image: expected height, width, color, fit and filter that this version knows, found {'height': 2}: #",
        ),
        (
            "pixel_statistics",
            {"mean": [1, 2, 3]},
            "kit.pixel_statistics: expected mean and std, a finite number a channel, and an appearance that this "
            "version knows, found {'mean': [1, 2, 3]}: #",
        ),
        (
            "pixel_statistics",
            {"mean": [1], "std": [1]},
            "kit.pixel_statistics: expected 3 channels, found "
            "PixelStatistics(mean=(1.0,), std=(1.0,), appearance=None): #",
        ),
        (
            "golden",
            GOLDEN | {"tolerance": 1},
            "kit.golden: expected 2×3×3 images with 2 probabilities each, and a tolerance, found "
            "{'images': 'AAAAAAAAAAAAAAAAAAAAAAAA', 'probabilities': [...: #",
        ),
        ("provenance", "a" * 58, f"kit.provenance: expected an object, found '{'a' * 58}': #"),
        ("provenance", "a" * 59, f"kit.provenance: expected an object, found '{'a' * 56}...: #"),
    ],
)
def test_messages_in_full(entry: str, value: Any, message: str) -> None:
    """# stands for what to do, which is the same for most."""
    pattern = re.escape(message.replace("#", "export the artefact again"))
    with pytest.raises(ArtefactError, match=f"^{pattern}$"):
        from_json(metadata().to_json() | {entry: value})


@pytest.mark.parametrize(
    "golden",
    [
        GOLDEN,
        GOLDEN | {"images": "AAAA" * 12, "probabilities": [[0.5, 0.5], [1, 0]]},
        GOLDEN | {"tolerance": 1e-9},
        GOLDEN | {"tolerance": 0.999},
    ],
)
def test_golden_examples_that_fit(golden: dict[str, Any]) -> None:
    assert from_json(metadata().to_json() | {"golden": golden}).golden.probabilities[0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("golden", GOLDEN | {"probabilities": [[1e39, 0]]}),
        ("golden", GOLDEN | {"probabilities": [[10**400, 0]]}),
        ("golden", GOLDEN | {"probabilities": [[float("nan"), 0]]}),
        ("golden", GOLDEN | {"images": "AAAA" * 6 + "\n"}),
        ("golden", GOLDEN | {"images": "AAAA" * 5}),
        ("pixel_statistics", {"mean": [1, 2, 3], "std": [1, 2]}),
        ("pixel_statistics", {"mean": [1, 2], "std": [1, 2]}),
        ("pixel_statistics", {"mean": [1, 2, float("nan")], "std": [1, 2, 3]}),
    ],
)
def test_numbers_that_do_not_fit(entry: str, value: Any) -> None:
    with pytest.raises(ArtefactError, match=f"^kit.{entry}: expected"):
        from_json(metadata().to_json() | {entry: value})


def test_the_first_entries_that_are_missing_are_named_in_order() -> None:
    document = metadata().to_json()
    del document["labels"], document["provenance"]
    message = "a file without kit.labels, kit.provenance: export it again"
    with pytest.raises(ArtefactError, match=f"^expected an artefact made by `kit export`, found {message}$"):
        from_json(document)


def test_the_text_of_what_is_no_json_is_cut() -> None:
    with pytest.raises(ArtefactError, match=rf"^kit.labels: expected JSON, found '{'x' * 40}': export it again$"):
        from_props(metadata().to_props() | {"kit.labels": "x" * 41})
    with pytest.raises(ArtefactError, match=r"^kit.json: expected an object, found 'a': export the artefact again$"):
        from_text('"a"')
    with pytest.raises(ArtefactError, match=r"^kit.json: expected JSON, found '{': export it again$"):
        from_text("{")
