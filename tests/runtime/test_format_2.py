"""Format 2.0: a hand-written file with every entry loads and decides; what does not fit is refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import runtime
from runtime import ArtefactError, Prediction
from runtime.artefact import PLAIN_VERSION, VERSION, Metadata, from_json, from_props
from runtime.image import ImageContract
from tests.backends import alike
from tests.interpreter import Kit
from tests.runtime.later import GOLDEN, answers, later_document, later_model
from tests.runtime.page import VALIDATOR

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 2, 2, 1), np.uint8)


def expected(image: Any) -> Prediction:
    """What docs/artefact.md says of the example's decision."""
    (probabilities,), (familiarity,) = (part.tolist() for part in answers(image[None]))
    index = int(np.argmax(probabilities))
    label = ("dark", "bright")[index]
    accepted = probabilities[index] >= 0.8 and (label == "dark" or probabilities[0] < 0.1)
    probability: Any = pytest.approx(probabilities[index], abs=1e-6)
    top = [(label, probability)]
    return Prediction(label, probability, index, top, accepted=accepted, familiar=familiarity >= -2.5)


def test_a_file_with_every_entry_answers_and_decides() -> None:
    document = later_document()
    VALIDATOR.validate(document)
    classifier = runtime.load(later_model())
    assert classifier.selftest() < 1e-6
    found = [classifier.classify(image) for image in IMAGES]
    assert found == [expected(image) for image in IMAGES]
    assert alike(classifier.classify_batch(IMAGES), found)
    assert {(one.accepted, one.familiar) for one in found} == {(a, b) for a in (True, False) for b in (True, False)}
    assert classifier.classify(IMAGES[0], top_k=2).accepted == found[0].accepted
    np.testing.assert_allclose(classifier.probabilities(IMAGES), answers(IMAGES)[0], atol=1e-6)


def test_it_is_read_and_written_as_it_was() -> None:
    document = later_document()
    metadata = from_json(document)
    assert metadata.version == VERSION
    document["pixel_statistics"]["appearance"] = None
    assert json.loads(json.dumps(metadata.to_json())) == document
    assert from_props(metadata.to_props()).to_json() == metadata.to_json()
    assert metadata.image == ImageContract(height=2, width=2, fit="pad", shift=0, fill=(114,))
    assert metadata.centre is not None
    assert metadata.centre.shape == (2, 2, 1)
    np.testing.assert_array_equal(metadata.golden.images, GOLDEN)


@pytest.mark.parametrize("name", ["centre", "outputs", "decision", "licences"])
def test_an_entry_that_is_left_out_is_nothing(name: str) -> None:
    document = later_document()
    if name == "outputs":
        document["decision"]["familiarity"] = None
    del document[name]
    assert name not in from_json(document).to_json()
    outputs = () if name == "outputs" else ("features", "familiarity")
    prediction = runtime.load(later_model(document, outputs)).classify(IMAGES[0])
    assert (prediction.accepted is None) == (name == "decision")
    assert (prediction.familiar is None) == (name in ("decision", "outputs"))


def plain() -> Metadata:
    """An artefact that needs nothing of 2.0."""
    image = ImageContract(height=2, width=2)
    found = from_json(later_document())._replace(image=image, centre=None, outputs=(), decision=None, licences=())
    return found._replace(golden=found.golden._replace(encoding="raw"))


def test_the_version_is_the_oldest_that_has_it_all() -> None:
    later = from_json(later_document())
    assert plain().version == PLAIN_VERSION
    assert PLAIN_VERSION == plain().to_json()["version"] == "1.1"
    for name in ("image", "golden", "centre", "outputs", "decision", "licences"):
        assert plain()._replace(**{name: getattr(later, name)}).version == "2.0"


def test_format_1_does_not_know_the_entries_of_2() -> None:
    """They are kept as any others, and decide nothing."""
    document = plain().to_json() | {"decision": 5, "centre": None, "licences": [], "outputs": 7}
    found = from_json(document)
    assert (found.decision, found.centre, found.outputs, found.licences) == (None, None, (), ())
    assert found.others == {"decision": 5, "centre": None, "licences": [], "outputs": 7}
    document["golden"] |= {"encoding": "png-rows"}
    np.testing.assert_array_equal(from_json(document).golden.images, GOLDEN)
    for change in ({"fit": "crop"}, {"fit": "pad", "fill": [0]}):
        with pytest.raises(ArtefactError, match=r"kit\.image: expected height, width, color, fit and filter that"):
            from_json(document | {"image": document["image"] | change})
    assert from_json(document | {"image": document["image"] | {"shift": 0}}).image.shift == 8


def test_outputs_of_a_later_minor_version_are_ignored() -> None:
    document = later_document(version="2.7", outputs=["features", "familiarity", "later"])
    model = runtime.load(later_model(document, ("features", "familiarity", "later")))
    assert [model.classify(image) for image in IMAGES] == [expected(image) for image in IMAGES]


@pytest.mark.parametrize(
    ("named", "outputs"),
    [
        (["features"], ("features", "familiarity")),
        (["features", "familiarity"], ("features",)),
        (["familiarity", "features"], ("features", "familiarity")),
        (["features", "other"], ("features", "later")),
    ],
)
def test_outputs_that_the_graph_does_not_have(named: list[str], outputs: tuple[str, ...]) -> None:
    document = later_document(outputs=named)
    document["decision"]["familiarity"] = None
    with pytest.raises(
        ArtefactError, match=r"expected images: uint8 .* → probabilities: float32 \[N, 2\], f.*, found "
    ):
        runtime.load(later_model(document, outputs))


def test_kit_inspect_shows_all_of_it(tmp_path: Path, run_kit: Kit) -> None:
    path = tmp_path / "later.onnx"
    path.write_bytes(later_model())
    document = later_document()
    result = run_kit("inspect", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["format_version"] == "2.0"
    assert found["image"] == document["image"]
    assert found["centre"] == {"per": "pixel", "mean": 111.0}
    assert found["optional_outputs"] == ["features", "familiarity"]
    assert found["decision"] == document["decision"]
    assert found["licences"] == document["licences"]
    assert found["golden"] == {"examples": 2, "tolerance": 1e-5, "encoding": "png-rows"}
    text = run_kit("inspect", path).stdout
    for part in ("fit pad", "fill 114", "shift 0", "per pixel", "familiarity", "max_error 0.02", "Apache-2.0"):
        assert part in text
    assert run_kit("selftest", path).exit_code == 0
    assert runtime.load(path).info()["decision"] == document["decision"]


def test_onnxruntime_answers_without_the_kit() -> None:
    """A reader that ignores decisions, centre and outputs answers labels and probabilities rightly."""
    session = onnxruntime.InferenceSession(later_model(), providers=["CPUExecutionProvider"])
    probabilities, familiarity = session.run(["probabilities", "familiarity"], {"images": IMAGES})
    np.testing.assert_allclose(probabilities, answers(IMAGES)[0], atol=1e-6)
    np.testing.assert_allclose(familiarity, answers(IMAGES)[1], atol=1e-3)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "image",
            "kit.image: expected height, width, color, fit, fill, shift and filter that this version knows, found 5",
        ),
        ("golden", "kit.golden: expected 2×2×1 images with 2 probabilities each, and a tolerance, found 5"),
        ("centre", "kit.centre: expected 1 or 4 bytes in base64, found 5"),
        ("outputs", "kit.outputs: expected one or more different names other than probabilities, found 5"),
        (
            "decision",
            "kit.decision: expected a decision of temperature, bias, thresholds, sets and familiarity, each as "
            "docs/artefact.md has it, found 5",
        ),
        ("licences", "kit.licences: expected one or more objects with a part and its licence, found 5"),
    ],
)
def test_messages_in_full(entry: str, message: str) -> None:
    with pytest.raises(ArtefactError) as found:
        from_json(later_document(**{entry: 5}))
    assert str(found.value) == f"{message}: export the artefact again"


def test_nothing_of_it_is_among_the_others() -> None:
    found = from_json(later_document(later=[1]))
    assert found.others == {"later": [1]}
    document = later_document()
    document["golden"] = plain().golden.to_json()
    assert from_json(document).golden.encoding == "raw"
    document["decision"]["sets"][0]["images"] = 1
    assert from_json(document).decision.sets[0].images == 1  # type: ignore[union-attr]
