"""Size of a package on disk with its dependencies, from the file lists of the installed distributions."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .measure import ROOT

KIT = ("export", "kit.py", "runtime", "trainer")  # what its wheel holds; an editable install lists none of it


def size(packages: Iterable[str]) -> int:
    """Bytes of packages and their dependencies, those of extras left out unless asked for: `cuda-toolkit[cublas]`."""
    return sum(map(own_size, needed(packages).values()))


def needed(packages: Iterable[str]) -> dict[str, Distribution]:
    """Find the installed distributions that packages need, themselves included, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(package) for package in packages]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            try:
                found[name] = distribution(requirement.name)
            except PackageNotFoundError:
                continue
            wanted = (Requirement(text) for text in found[name].requires or ())
            waiting += [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


def own_size(package: Distribution) -> int:
    """Bytes of a distribution's own files."""
    paths = [package.locate_file(file) for file in package.files or ()]
    if canonicalize_name(package.name) == "softmax-kit":
        paths += [path for name in KIT for path in (ROOT / name, *(ROOT / name).rglob("*.py"))]
    return sum(path.stat().st_size for path in map(ROOT.joinpath, map(str, paths)) if path.is_file())
