"""MODEL_CARD.md: the figures in it, the words, and labels that would break Markdown."""

import copy
import re
from typing import Any

import numpy as np
import pytest

from trainer.report.model_card import escape, model_card, plain_line

REPORT: dict[str, Any] = {
    "data": {"name": "pets", "train_images": 12345, "test_images": 1010},
    "figures": {"train_loss": 0.1111, "train_accuracy": 0.9876, "test_loss": 0.4321, "test_accuracy": 0.8515},
    "settings": {"epochs": 10, "weight_decay": 0.0001, "seed": None},
    "versions": {"numpy": "2.4.6", "softmax-kit": "0.1.0"},
    "labels": ["cat", "dog", "axolotl"],
    "seconds": 3.25,
    "checkpoint": "/home/me/runs/pets/model.safetensors",
    "image": {"height": 20, "width": 30, "color": "RGB"},
    "metrics": {
        "per_class": {
            "cat": {"precision": 0.909, "recall": 0.9, "f1": 0.904, "images": 1000},
            "dog": {"precision": 0.25, "recall": 0.5, "f1": 0.333, "images": 10},
            "axolotl": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0},
        },
        "calibration_error": 0.0234,
    },
}
MATRIX = np.array([[900, 91, 9], [5, 5, 0], [0, 0, 0]])
PICTURES = ["curves.png", "confusion.png", "mistakes.png", "probabilities.png", "weights.png"]


def with_labels(*labels: str) -> dict[str, Any]:
    """Return the report with other labels."""
    report = copy.deepcopy(REPORT)
    report["labels"] = list(labels)
    report["metrics"]["per_class"] = dict(zip(labels, REPORT["metrics"]["per_class"].values(), strict=True))
    return report


@pytest.mark.parametrize(
    "text",
    [
        "# Model card: pets",
        "image's 1,800 pixel values (20 × 30 × 3,",
        "uint8, 0-255, RGB) into the probabilities of 3 labels",
        "Labels, in the order of the output: cat, dog, axolotl.",
        "Data set pets: 12,345 training images, 1,010 test images.",
        "Test accuracy 0.8515, test loss 0.4321 nats.",
        "right for 99.0% of them",
        "Calibration error 0.0234",
        "| training | 0.1111 | 0.9876 |",
        "| test | 0.4321 | 0.8515 |",
        "| cat | 0.909 | 0.900 | 0.904 | 1,000 |",
        "| axolotl | – | – | – | 0 |",
        "- Of 1,000 test images of cat, 91 got the label dog.\n- Of 1,000 test images of cat, 9 got the label axo",
        "    kit export model.safetensors --format onnx\n    kit classify IMAGE.png --model model.onnx",
        "It always answers one of its labels",
        "| weight\\_decay | 0.0001 |",
        "| softmax-kit | 0.1.0 |",
    ],
)
def test_it_says(text: str) -> None:
    assert text in model_card(REPORT, MATRIX, plots=False)


def test_plots_only_when_there_are_some() -> None:
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", model_card(REPORT, MATRIX, plots=True)) == PICTURES
    assert ".png)" not in model_card(REPORT, MATRIX, plots=False)


@pytest.mark.parametrize("plots", [True, False])
def test_its_shape(plots: bool) -> None:
    card = model_card(REPORT, MATRIX, plots=plots)
    assert "\n\n\n" not in card
    assert card.endswith("|\n")
    assert all(line == line.rstrip() for line in card.splitlines())
    assert re.search(r"[^\n]\n(#|!\[)", card) is None  # headings and plots stand apart
    assert re.search(r"\n[^|\n][^\n]*\n\|", card) is None  # and so do tables


def test_equal_runs_give_equal_cards() -> None:
    elsewhere = REPORT | {"seconds": 99.0, "checkpoint": "model.safetensors"}
    assert model_card(elsewhere, MATRIX, plots=True) == model_card(REPORT, MATRIX, plots=True)


def test_validation_figures() -> None:
    report = copy.deepcopy(REPORT)
    report["data"]["val_images"] = 678
    report["figures"] |= {"val_loss": 0.2222, "val_accuracy": 0.7654}
    card = model_card(report, MATRIX, plots=False)
    assert "| validation | 0.2222 | 0.7654 |" in card
    assert "12,345 training images, 678 validation images, 1,010 test images" in card
    report["figures"] |= {"val_loss": None, "val_accuracy": None}
    assert "| validation |" not in model_card(report, MATRIX, plots=False)


def test_greyscale() -> None:
    card = model_card(REPORT | {"image": {"height": 28, "width": 28, "color": "L"}}, MATRIX, plots=False)
    assert "784 pixel values (28 × 28 × 1,\nuint8, 0-255, greyscale)" in card
    assert "brought to 28 × 28 pixels, greyscale" in card


def test_no_confusions() -> None:
    card = model_card(REPORT, np.diag([1000, 10, 0]), plots=False)
    assert "Nothing: every test image got its true label.\n" in card


def of_many(classes: int) -> str:
    """A card of labels whose F1 falls; the last one has no test images."""
    report = copy.deepcopy(REPORT)
    report["labels"] = labels = [f"n{index}" for index in range(classes)]
    report["metrics"]["per_class"] = {
        label: {"precision": 1.0, "recall": 1.0, "f1": 1 - index / classes, "images": int(index < classes - 1)}
        for index, label in enumerate(labels)
    }
    return model_card(report, np.eye(classes, dtype=np.int64), plots=False)


def test_of_many_labels_the_best_and_the_worst_are_shown() -> None:
    card = of_many(1000)
    assert "images, the 20 best and the 20 worst of 1,000 labels by F1; report.json has all:\n\n| label" in card
    assert re.findall(r"^\| (n\d+) \|", card, re.MULTILINE) == [f"n{i}" for i in [*range(20), *range(979, 999)]]
    assert "n18, n19 and 980 more, which report.json lists." in card
    assert len(card.splitlines()) < 150


def test_100_labels_are_all_shown() -> None:
    card = of_many(100)
    assert "By label, on the test images:\n" in card
    assert len(re.findall(r"^\| (n\d+) \|", card, re.MULTILINE)) == 100
    assert "n98, n99." in card


def test_odd_labels_leave_the_table_whole() -> None:
    labels = ("a|b\\|c", "`new`\n# line", "<script>{name}</script>\r\n| x |")
    card = model_card(with_labels(*labels), MATRIX, plots=False)
    _, _, table = card.partition("| label | precision |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    assert len(rows) == len(labels)
    for row, label in zip(rows, labels, strict=True):
        cells = re.split(r"(?<!\\)(?:\\\\)*\|", row)  # a bar behind an odd number of backslashes is text
        assert len(cells) == 7
        assert cells[1].strip() == escape(label)
    assert "<script" not in card
    assert "\n# line" not in card
    card.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("`x` *y* _z_ ~u~ $v$", r"\`x\` \*y\* \_z\_ \~u\~ \$v\$"),
        ("[x](y) ![z](u)", r"\[x\](y) !\[z\](u)"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("two\n\n lines\t", "two lines"),
        ("長い", "長い"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("a\x00b\udcff", "a�b�"), (" \n", "␣"), ("a\u2028b", "a b")])
def test_one_line(text: str, expected: str) -> None:
    assert plain_line(text) == expected
