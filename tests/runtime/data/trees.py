"""Trees of files for tests: as a folder, and as archives of it."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from runtime.data.archive import Archive
from runtime.data.tree import Folder, Tree


def grow(root: Path, *names: str, **texts: str) -> Path:
    """Make empty files, and folders where a name ends in "/"."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def as_folder(root: Path) -> Tree:
    return Folder(root)


def as_zip(root: Path) -> Tree:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for inside in sorted(root.rglob("*")):
            file.write(inside, inside.relative_to(root))
    return Archive(path)


def as_tar(root: Path) -> Tree:
    path = root.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as file:
        for inside in sorted(root.rglob("*"), reverse=True):
            file.add(inside, inside.relative_to(root), recursive=False)
    return Archive(path)


KINDS: dict[str, Callable[[Path], Tree]] = {"folder": as_folder, "zip": as_zip, "tar": as_tar}


def member(name: str, data: bytes = b"", **settings: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    """A file for a tar archive, or what its settings make of it."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for setting, value in settings.items():
        setattr(info, setting, value)
    return info, io.BytesIO(data)
