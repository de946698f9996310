"""The modules of the packages, and which modules each of them imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("runtime", "trainer", "export")


def sources() -> dict[str, Path]:
    """The file of each module of the packages, and of kit.py, by the module's name."""
    paths = [ROOT / "kit.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return dict(sorted(zip(names, paths, strict=True)))


def imported(name: str, path: Path) -> set[str]:
    """The modules that a module imports, at its top or inside its functions, but not for type checking alone.

    `from a import b` counts as `a.b` where that is a module, and else as `a`.
    """
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in _executed(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {_module(source, alias.name) for alias in node.names}
    return found


def graph() -> dict[str, set[str]]:
    """Which modules of the packages each of them imports."""
    modules = sources()
    return {name: imported(name, path) & modules.keys() for name, path in modules.items()}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function in a file, without its decorators."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def _module(source: str, name: str) -> str:
    path = ROOT.joinpath(*source.split("."), name)
    return f"{source}.{name}" if path.with_suffix(".py").exists() or (path / "__init__.py").exists() else source


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs, without `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed(child)
