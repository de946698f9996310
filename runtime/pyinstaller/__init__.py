"""Hooks for PyInstaller, which finds this folder by the package's entry point: what it needs to freeze `kit` itself.

Commands and formats are imported by name, so PyInstaller does not see them. Programs that import `runtime` alone need
none of this.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folders with hooks."""
    return [str(Path(__file__).parent)]


def modules() -> list[str]:
    """Name every module of the packages that the command line's table names, without importing them."""
    packages = {module.partition(".")[0] for module, _ in import_module("kit").COMMANDS.values()}
    found = [spec for spec in map(find_spec, packages) if spec and spec.origin]
    return sorted(name for spec in found for name in _below(Path(str(spec.origin)).parent))


def _below(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        if path.stem.isidentifier():  # hooks are no modules
            yield ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def metadata() -> list[tuple[str, str]]:
    """Name the folder that holds the version, and where it goes."""
    about = distribution("softmax-kit")
    folders = {Path(str(about.locate_file(file))).parent for file in about.files or () if file.name == "METADATA"}
    return [(str(folder), folder.name) for folder in folders]
