"""What has a structure, metadata and arrays, is left to hypothesis: an answer or a KitError, never anything else."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import runtime
from runtime import Classifier, KitError
from runtime.artefact import from_json, from_props
from runtime.entries import PREFIX
from runtime.skew.first_images import SkewWarning

from .mutations import places

MANY = pytest.param(None, marks=pytest.mark.slow)  # the slow suite's count, which the test itself knows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def masked(array: Any) -> Any:
    return np.ma.masked_array(array) if array.dtype == np.uint8 else array  # numpy itself warns of some others


ARRAYS = st.tuples(
    st.just(np.dtype(np.uint8)) | arrays.array_dtypes() | arrays.scalar_dtypes(),
    st.sampled_from([(8, 8), (8, 8, 1), (2, 8, 8, 1), (8, 8, 3), (0, 8, 8, 1)])
    | arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9),
    st.sampled_from([lambda a: a, lambda a: a[::-1] if a.ndim else a, lambda a: a.T.copy().T, masked]),
)


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return runtime.load(model)


@pytest.fixture(scope="module")
def document(model: Path) -> dict[str, Any]:
    return json.loads(json.dumps(runtime.load(model).metadata.to_json()))  # type: ignore[no-any-return]


def answered(call: Any, *arguments: Any) -> bool:
    """Whether a call gave an answer rather than a KitError; anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkewWarning)
        try:
            call(*arguments)
        except KitError:
            return False
    return True


def check_document(document: dict[str, Any], choices: list[tuple[int, Any]]) -> None:
    """Put values in places of a document, `...` taking away what is there, and read it in both ways."""
    changed = copy.deepcopy(document)
    for number, value in choices:
        found = places(changed)
        if found:
            container, key = found[number % len(found)]
            if value is ...:
                del container[key]
            else:
                container[key] = value
    read = answered(from_json, changed)
    texts = {PREFIX + name: json.dumps(value) for name, value in changed.items()}
    assert answered(from_props, texts) == read


def given_examples(count: int, strategy: Any, check: Any) -> None:
    profile = settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    run = given(strategy)(check)  # type: ignore[no-untyped-call]
    checked: Any = profile(run)
    checked()


@pytest.mark.parametrize("count", [60, MANY])
def test_metadata_with_other_values(document: dict[str, Any], count: int | None) -> None:
    choices = st.lists(st.tuples(st.integers(0, 10_000), st.just(...) | VALUES), min_size=1, max_size=3)
    given_examples(count or 3_000, choices, lambda chosen: check_document(document, chosen))


@pytest.mark.parametrize("count", [150, MANY])
def test_random_arrays(classifier: Classifier, count: int | None) -> None:
    def check(chosen: Any) -> None:
        dtype, shape, layout = chosen
        content = np.random.default_rng(0).bytes(dtype.itemsize * int(np.prod(shape)))
        array = layout(np.ndarray(shape, dtype, None if dtype.hasobject else content))
        fits = array.dtype == np.uint8 and array.shape[1:] == (8, 8, 1)
        assert answered(classifier.probabilities, array) == fits
        answered(classifier.classify, array)
        if array.ndim:
            answered(classifier.classify_batch, array)

    given_examples(count or 1_000, ARRAYS, check)
