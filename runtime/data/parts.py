"""The parts of a data set, and the names that people give to their folders and tables."""

from collections.abc import Iterable
from typing import TypeAlias

from ..errors import DataError

NAMES = {
    "train": ("train", "training", "train_set", "training_set", "seg_train"),
    "val": ("val", "valid", "validation", "val_set", "valid_set", "validation_set", "seg_val", "dev"),
    "test": ("test", "testing", "test_set", "testing_set", "seg_test"),
}
WORDS = {"train": "training", "val": "validation", "test": "test"}
LAYOUT = "lay them out as DIR/<class>/*.png, or list them in DIR/labels.csv"

Parts: TypeAlias = dict[str, dict[str, list[str]]]  # "train", "val" and "test", in this order, → label → images


def part_of(name: str) -> str | None:
    """Name the part whose images a folder of that name has, or a table, or a cell; None for other names."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    return next((part for part, names in NAMES.items() if plain in names), None)


def no_classes(where: str, found: str) -> DataError:
    """Make the error for a folder or an archive with neither class folders nor a table."""
    return DataError(f"{where}: expected a folder for each class, found {found}: {LAYOUT}")


def in_order(labels: Iterable[str]) -> list[str]:
    """Sort labels; whole numbers by their value."""
    found = list(labels)
    return sorted(found, key=int) if all(map(is_number, found)) else sorted(found)


def is_number(label: str) -> bool:
    """Whether a label is a whole number."""
    return label.isascii() and label.removeprefix("-").isdigit()
