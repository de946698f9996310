"""How a tree of files is laid out: which are the training, validation and test images, and of which class each is."""

from collections.abc import Mapping

from ..errors import DataError
from ..text import note
from .by_folders import by_folders
from .by_tables import by_tables, find_tables
from .labels import check_distinct
from .parts import NAMES, Parts, part_of
from .source import join
from .table import Columns
from .tree import Tree, files_in, images_below, inside

ANNOTATED = (
    ({"images", "labels"}, "detection, YOLO"),
    ({"annotations", "jpegimages"}, "detection, Pascal VOC"),
    ({"_annotations.coco.json"}, "detection, COCO"),
    ({"_annotations.createml.json"}, "detection, CreateML"),
    ({"_annotations.csv"}, "detection, TensorFlow"),
    ({"_annotations.txt"}, "detection, Darknet"),
    ({"_classes.csv"}, "several labels an image"),
)
SHOWN = 3  # folders in a note


def find_parts(tree: Tree, columns: Columns, table: str | None = None) -> Parts:
    """Find each part's classes and their images. Says on standard error what is left out.

    columns: of tables of files and labels.
    table: the only one to read; by default those of usual names, if any.
    Raises DataError where the files are laid out in no known way, or in two.
    """
    parts = by_tables(tree, [table], columns) if table else _read(tree, inside(tree, ""), columns)
    for path in tree.outputs:
        note(f"{tree.where}: {path} is left out: kit wrote it")
    _note_left_out(tree, {image for classes in parts.values() for images in classes.values() for image in images})
    return {part: parts[part] for part in NAMES if part in parts}


def _read(tree: Tree, root: str, columns: Columns) -> Parts:
    """Read by folders or by tables; where both can be read, they have to agree."""
    _refuse_other_tasks(tree, root)
    tables = find_tables(tree, root)
    if not tables:
        return by_folders(tree, root)
    try:
        folders = by_folders(tree, root)
    except DataError:
        return by_tables(tree, tables, columns)
    if len(folders.get("train", {})) == 1:  # a folder of all images
        return by_tables(tree, tables, columns)
    try:
        stated = _label_of_each(by_tables(tree, tables, columns))
    except DataError:
        if any(columns):
            raise
        return folders  # a table of something else
    found = _label_of_each(folders)
    if not stated.keys() & found.keys():
        return folders
    check_distinct(tree.where, {tables[0]: _labels(stated), "the folders": _labels(found)})
    for image in sorted(stated):
        if found.get(image) != stated[image]:
            there = " ".join(found.get(image, ("in no class",)))
            raise DataError(
                f"{tree.where}: expected one reading, found two: {image} is {' '.join(stated[image])} in {tables[0]}, "
                f"and {there} by its folder: leave the table out, or pass it as --data where it lies in a folder"
            )
    return folders


def _label_of_each(parts: Parts) -> dict[str, tuple[str, str]]:
    return {name: (part, label) for part in parts for label, names in parts[part].items() for name in names}


def _labels(found: Mapping[str, tuple[str, str]]) -> list[str]:
    return [label for _, label in found.values()]


def _refuse_other_tasks(tree: Tree, root: str) -> None:
    """Refuse data sets that give images no single label, by what their exports have beside the images."""
    for place in (root, *(join(root, name) for name in tree.folders(root) if part_of(name))):
        names = {name.lower() for name in (*tree.folders(place), *files_in(tree, place))}
        for marks, task in ANNOTATED:
            if marks <= names and not _has_images(tree, join(place, "labels")):
                raise DataError(
                    f"{join(tree.where, place)}: expected one label for each image, found {' and '.join(sorted(marks))}"
                    f" ({task}): export the data set for classification, with a folder for each class"
                )


def _has_images(tree: Tree, path: str) -> bool:
    return path.split("/")[-1] in tree.folders(path.rpartition("/")[0]) and any(images_below(tree, path))


def _note_left_out(tree: Tree, read: set[str]) -> None:
    """Count the images that were not read, by the folder that they are in."""
    counts: dict[str, int] = {}
    for image in images_below(tree, ""):
        if image not in read:
            folder = image.rpartition("/")[0] or "the folder itself"
            counts[folder] = counts.get(folder, 0) + 1
    if counts:
        some = ", ".join(f"{count:,} in {folder}" for folder, count in list(counts.items())[:SHOWN])
        more = f" and {len(counts) - SHOWN} more folders" * (len(counts) > SHOWN)
        note(f"{tree.where}: {sum(counts.values()):,} images are of no class, and are left out: {some}{more}")
