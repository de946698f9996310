"""What goes with the graph: written, read, and refused where it does not fit."""

import json
import re
from typing import Any

import numpy as np
import pytest

from runtime import ArtefactError
from runtime.artefact import ENTRIES, Golden, Metadata, PixelStatistics, from_json, from_props, from_text
from runtime.image import ImageContract


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
        ("version", "2.0", "expected an artefact of format 1.x, found 2.0: upgrade softmax-kit here"),
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
