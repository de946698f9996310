"""Reads a data set's layout from its folders: a folder for each class, in a folder for each part."""

from pathlib import PurePosixPath
from typing import NamedTuple

from ..errors import DataError
from .parts import Parts, no_classes, part_of
from .source import join
from .tree import Tree, images_below, images_in, inside

MARK = "-!-"  # between label and number in the names of Teachable Machine's images
SHOWN = 5  # names in a message


class _Folders(NamedTuple):
    """The folders in a folder.

    parts: pairs of part and path, with class folders in them.
    flat: names of parts, with images but without class folders.
    others: names, with images.
    """

    parts: list[tuple[str, str]]
    flat: list[str]
    others: list[str]

    def names(self) -> list[str]:
        """Names of the parts' folders."""
        return sorted([*(path.split("/")[-1] for _, path in self.parts), *self.flat])


def by_folders(tree: Tree, root: str) -> Parts:
    """Find each part's classes. Raises DataError where there are none, or two readings."""
    folders, where = _sort(tree, root), join(tree.where, root)
    parts = [part for part, _ in folders.parts]
    for part in parts:
        if parts.count(part) > 1:
            twice = [path for of, path in folders.parts if of == part]
            raise DataError(f"{where}: expected one folder of {part} images, found {' and '.join(twice)}: merge them")
    if not parts and not folders.flat:
        return {"train": _by_names(tree, root) or _classes(tree, root)}
    if not parts and not folders.others:
        raise no_classes(f"{where}/{folders.flat[0]}", "images directly in it")
    found = {part: _classes(tree, path) for part, path in folders.parts}
    if not _is_clear(found, folders):
        raise DataError(
            f"{where}: expected one reading, found two: {', '.join(folders.names())} as parts of the data set, "
            f"without {_few(folders.others)}; or all of these as classes: rename {folders.names()[0]}, or move "
            f"{_few(folders.others)} out"
        )
    return found


def _is_clear(found: Parts, folders: _Folders) -> bool:
    """Whether folders with the names of parts are parts: alone, or with the same classes in two of them."""
    shared = any(set(found.get("train", ())) & set(found[part]) for part in found if part != "train")
    return not folders.others or shared


def _sort(tree: Tree, root: str) -> _Folders:
    found = _Folders([], [], [])
    for name in tree.folders(root):
        path, part = join(root, name), part_of(name)
        below = _inside_part(tree, path) if part else path
        if part and tree.folders(below):
            found.parts.append((part, below))
        elif any(images_below(tree, path)):
            (found.flat if part else found.others).append(name)
    return found


def _inside_part(tree: Tree, path: str) -> str:
    """Go into a folder that is repeated, as in seg_train/seg_train."""
    folders = tree.folders(path)
    repeated = len(folders) == 1 and part_of(folders[0]) == part_of(path.split("/")[-1])
    return join(path, folders[0]) if repeated else inside(tree, path)


def _classes(tree: Tree, path: str) -> dict[str, list[str]]:
    """Label → images anywhere in its folder; a folder that holds nothing but what `kit` wrote is no class."""
    found, where = {}, join(tree.where, path)
    for label in tree.folders(path):
        if label.encode(errors="replace").decode() != label:
            raise DataError(f"{where}: expected class folders named in UTF-8, found {label!r}: rename it")
        below = join(path, label)
        names = sorted(images_below(tree, below))
        if names or not any(PurePosixPath(output).is_relative_to(below) for output in tree.outputs):
            found[label] = names
    if not found:
        raise no_classes(where, "images directly in it" if any(images_in(tree, path)) else "none")
    return found


def _by_names(tree: Tree, root: str) -> dict[str, list[str]]:
    """Classes by the images' names, as Teachable Machine's projects have them; empty where one has another name."""
    found: dict[str, list[str]] = {}
    for path in images_in(tree, root):
        label, mark, _ = path.rpartition("/")[2].partition(MARK)
        if not mark:
            return {}
        found.setdefault(label, []).append(path)
    return dict(sorted(found.items()))


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
