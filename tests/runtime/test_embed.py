"""`Classifier.embed`: the features of images, from the file that classifies them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runtime
from runtime import ArtefactError, InputError
from tests.interpreter import Kit
from tests.runtime.later import CENTRE, GOLDEN, later_model

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 2, 2, 1), np.uint8)


@pytest.fixture(scope="module")
def classifier() -> runtime.Classifier:
    return runtime.load(later_model())


def test_it_gives_the_graphs_features(classifier: runtime.Classifier) -> None:
    found = classifier.embed(IMAGES)
    assert found.shape == (70, 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, IMAGES.reshape(70, 4) - CENTRE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).embed(IMAGES[:3]), found[:3])


def test_many_images_go_through_the_graph_a_few_at_a_time(classifier: runtime.Classifier) -> None:
    single = np.concatenate([classifier.probabilities(image[None]) for image in IMAGES])
    np.testing.assert_allclose(classifier.probabilities(IMAGES), single, atol=1e-6)
    assert len(classifier.classify_batch(IMAGES)) == 70


def test_it_takes_what_classify_batch_takes(classifier: runtime.Classifier, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(GOLDEN[0, :, :, 0]).save(path)
    found = classifier.embed([GOLDEN[0], path, path.read_bytes(), Image.fromarray(GOLDEN[0, :, :, 0])])
    np.testing.assert_array_equal(found, np.tile(GOLDEN[0].ravel() - CENTRE, (4, 1)))
    assert classifier.embed([]).shape == (0, 4)
    with pytest.raises(InputError, match=r"image 1: .*expected an image"):
        classifier.embed([GOLDEN[0], tmp_path / "none.png"])


def test_a_model_on_pixels_has_none(model: Path) -> None:
    with pytest.raises(
        ArtefactError, match=r"^expected an artefact that carries features, found one of a model on pixels"
    ):
        runtime.load(model).embed([])


def test_the_licence_of_the_weights_is_shown(classifier: runtime.Classifier, run_kit: Kit, tmp_path: Path) -> None:
    licences = [{"part": "weights of efficientnet_lite0", "licence": "Apache-2.0"}]
    assert classifier.info()["licences"] == licences
    path = tmp_path / "model.onnx"
    path.write_bytes(later_model())
    assert json.loads(run_kit("inspect", path, "--json").stdout)["licences"] == licences
