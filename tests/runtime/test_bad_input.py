"""Every kind of bad input and the exact words that it is answered with.

In messages `{folder}` is where the files of a test lie, and `<…>` stands for words of onnxruntime, Pillow or Python,
which differ by version.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import runtime
from runtime import ArtefactError, InputError, KitError
from tests.backends import of_onnxruntime
from tests.runtime.bad_artefacts import ARTEFACT, METADATA, changed, exploding
from tests.runtime.bad_images import INPUT
from tests.runtime.given import GREY, Given, past_first_images


@pytest.fixture
def given(model: Path, exported: dict[str, Path], tmp_path: Path) -> Given:
    return Given(runtime.load(model), model, tmp_path, exported["torchscript"])


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
@pytest.mark.filterwarnings("ignore::runtime.SkewWarning")
def test_odd_arrays_that_are_fine(given: Given, layout: Callable[[], Any], first: bool) -> None:
    if not first:
        past_first_images(given.classifier)
    assert given.classifier.classify(layout()) == given.classifier.classify(GREY)


@of_onnxruntime
def test_a_graph_that_fails_later_on(given: Given) -> None:
    """In the calls after the first ones, which run on buffers of their own."""
    classifier = past_first_images(changed(exploding)(given))
    for call in (lambda: classifier.classify(GREY), lambda: classifier.classify_batch([GREY]), classifier.selftest):
        with pytest.raises(ArtefactError, match=re.escape("expected a graph that gives [N, K] probabilities")):
            call()


def test_external_data_is_no_word() -> None:
    """Names and labels may have the word that such a tensor must have."""
    from runtime.external_data import has_external_data

    node = helper.make_node("Identity", ["location"], ["y"], name="location", doc_string="external_data")
    value = helper.make_tensor_value_info("location", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([node], "g", [value], [value]))
    helper.set_model_props(model, {"location": "secret.bin"})
    data = model.SerializeToString()
    assert not any(has_external_data(data[:size]) for size in range(len(data) + 1))
