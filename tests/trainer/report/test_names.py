"""Class names in plots: how they are cut."""

import pytest

from trainer.report.names import shorten


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Ankle boot", "Ankle boot"),
        ("x" * 18, "x" * 18),
        ("x" * 19, "x" * 9 + "…" + "x" * 8),
        ("two\nlines", "two lines"),
        ("a label with a space at the cut", "a label w…the cut"),
        ("\udcff", "�"),
        (" \n", "␣"),
    ],
)
def test_the_middle_is_cut(label: str, expected: str) -> None:
    assert shorten([label], 18) == [expected]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["very_long_class_name_a", "very_long_class_name_b"], ["very_long…s_name_a", "very_long…s_name_b"]),
        (
            ["the same at the start 1 and at the end", "the same at the start 2 and at the end"],
            ["the … the start 1…", "the … the start 2…"],
        ),
        (["dog", "dog "], ["dog", "dog"]),
    ],
)
def test_names_that_differ(labels: list[str], expected: list[str]) -> None:
    assert shorten(labels, 18) == expected


@pytest.mark.parametrize("length", [10, 18, 36])
@pytest.mark.parametrize(
    "labels",
    [
        [f"a long name with {word} in it" for word in ("one", "two", "three", "seventeen", "one thousand")],
        [f"the same {number:04} in the middle of all and {number % 7} too, of a thousand" for number in range(1000)],
        [f"{'x' * 9}…{'x' * 8}", "x" * 60, "x" * 61],
    ],
)
def test_names_stay_different(labels: list[str], length: int) -> None:
    names = shorten(labels, length)
    assert len(set(names)) == len(labels)
    assert max(map(len, names)) <= length
