"""Reads a data set's layout from tables of files and labels."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..errors import DataError
from .labels import check_distinct
from .parts import Parts, in_order, part_of
from .source import is_table, join, path_inside
from .table import SHOWN, Columns, Row, read_table
from .tree import Tree, files_in, images_below

STEMS = ("labels", "label", "metadata", "annotations", "images", "index")


def find_tables(tree: Tree, root: str) -> list[str]:
    """List the tables in a folder, and in the folders of parts in it, whose names say that they are of images."""
    places = [root, *(join(root, name) for name in tree.folders(root) if part_of(name))]
    tables = [join(place, name) for place in places for name in files_in(tree, place) if is_table(name)]
    return [table for table in tables if _plain(table) in STEMS or part_of(_plain(table))]


def by_tables(tree: Tree, tables: Sequence[str], columns: Columns) -> Parts:
    """Read the rows of tables.

    A row's part is what the row says, or the name of the table, or that of its folder; else training. Raises DataError.
    """
    found: dict[str, tuple[str, str]] = {}
    finder = _Finder(tree)
    for table in tables:
        where = f"{tree.where}/{table}"
        usual = part_of(_plain(table)) or part_of(PurePosixPath(table).parent.name) or "train"
        for row in read_table(tree, table, columns):
            said = part_of(row.part) if row.part else usual
            if not row.image or not row.label or not said:
                what = "a file's name" if not row.image else "a label" if not row.label else "train, val or test"
                raise DataError(
                    f"{where} line {row.line}: expected {what}, found {(row.part or 'none')[:SHOWN]}: fill it in"
                )
            image = finder.find(table, row, said)
            if found.setdefault(image, (said, row.label)) != (said, row.label):
                check_distinct(f"{where} line {row.line}", {f"the rows of {image}": (found[image][1], row.label)})
                raise DataError(
                    f"{where} line {row.line}: expected one label and one part for {image}, found "
                    f"{' '.join(found[image])} and {said} {row.label}: remove one"
                )
    parts: dict[str, dict[str, list[str]]] = {}
    for image, (part, label) in found.items():
        parts.setdefault(part, {}).setdefault(label, []).append(image)
    return {part: {label: sorted(classes[label]) for label in in_order(classes)} for part, classes in parts.items()}


def _plain(table: str) -> str:
    """The stem of a table's name, without what says that it has labels: train for train_labels.csv."""
    return PurePosixPath(table).stem.lower().removesuffix("_labels")


class _Finder:
    """Finds the images that tables name: beside the table, else anywhere by name, with or without the suffix."""

    def __init__(self, tree: Tree) -> None:
        images = list(images_below(tree, ""))
        self._where, self._images = tree.where, set(images)
        self._folders = {folder for folder, _ in tree.walk("")}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in images:
            for name in {PurePosixPath(path).name, PurePosixPath(path).stem}:
                self._by_name[name].append(path)

    def find(self, table: str, row: Row, part: str) -> str:
        """Find a row's image; where there is none, the path that it should have. Raises DataError."""
        asked, line = path_inside(row.image or ""), f"{self._where}/{table} line {row.line}"
        shown = (row.image or "")[:SHOWN]
        if asked is None:
            raise DataError(
                f"{line}: expected a path that stays in the table's folder, found {shown}: write it relative to "
                "the table"
            )
        beside = join(_parent(table), str(asked))
        if beside in self._images:
            return beside
        found = self._by_name.get(asked.name, [])
        found = [path for path in found if path.endswith(f"/{asked}") or str(asked).endswith(f"/{path}")] or found
        found = [path for path in found if part in map(part_of, path.split("/"))] or found
        if len(found) > 1:
            raise DataError(
                f"{line}: expected one file of the name {shown}, found {found[0]} and {found[1]}: write paths relative "
                "to the table"
            )
        if not found and _parent(beside) not in self._folders:
            raise DataError(
                f"{line}: expected an image of the table's folder, found no folder of {shown} in it (links to folders "
                "are not followed): copy it there, or remove the row"
            )
        return found[0] if found else beside


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
