"""Lines and tokens of code in each package: `python -m benchmarks.tools.size`, which `make check` runs.

Comments, docstrings and blank lines are not counted. The figures have no limit.
"""

import ast
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("trainer", "export", "runtime")
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
           tokenize.ENCODING}  # fmt: skip


def size(path: Path) -> tuple[int, int]:
    """Count a file's lines and tokens of code."""
    documented = {line for node in ast.walk(ast.parse(path.read_bytes())) for line in docstring(node)}
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    code = [token for token in tokens if token.start[0] not in documented]
    return len({line for token in code for line in range(token.start[0], token.end[0] + 1)}), len(code)


def docstring(node: ast.AST) -> range:
    """Line numbers of a node's docstring."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
        return range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    return range(0)


def main() -> None:
    """Print a line a package, and the total."""
    sizes = {
        name: [sum(count) for count in zip(*map(size, (ROOT / name).rglob("*.py")), strict=True)] for name in PACKAGES
    }
    sizes["total"] = [sum(count) for count in zip(*sizes.values(), strict=True)]
    for name, (lines, tokens) in sizes.items():
        print(f"{name:8} {lines:6,} lines {tokens:7,} tokens")


if __name__ == "__main__":
    main()
