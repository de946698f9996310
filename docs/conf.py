"""How Sphinx builds these pages: `make docs`. Nothing is fetched, neither for the build nor by the reader's browser."""

import re
import sys
from pathlib import Path
from textwrap import indent

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxTranslator

sys.path.insert(0, str(Path(__file__).parents[1]))
import export
import trainer

for package in (export, trainer):  # whose names are loaded when they are first used; autodoc lists those that are there
    vars(package).update({name: getattr(package, name) for name in package.__all__})

project = "softmax-kit"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
highlight_language = "none"
nitpicky = True
# Types of other packages, of which there is no inventory to look into; those of ours that are not public; and aliases.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections\.abc|np|numpy|os|pathlib|torch|typing)\..*"),
    (r"py:.*", r"(export|runtime|trainer)(\.[a-z_]+)+\.\w+"),
    (r"py:.*", r"(FilePath|ImageLike|Pixels)"),
    (r"py:.*", r"(float\d+|u?int\d+|Any|Callable|Iterable|Mapping|NDArray|Path|Sequence|Tensor)"),
]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 120

html_theme = "furo"
html_title = "softmax-kit"
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False


def rest(text: str) -> str:
    """Turn a docstring, plain text with some Markdown in it, into reStructuredText."""
    parts = re.split(r"```(\w+)\n(.*?)\n```|`([^`]+)`", text, flags=re.DOTALL)
    found = [re.sub(r"([\\*|_])", r"\\\1", parts[0])]
    for language, block, word, plain in zip(*(parts[start::4] for start in (1, 2, 3, 4)), strict=True):
        found.append(f"``{word}``" if word else f".. code-block:: {language}\n\n{indent(block, '   ')}\n")
        found.append(re.sub(r"([\\*|_])", r"\\\1", plain))
    return "".join(found)


def _readme(_app: Sphinx, _path: object, _parent: str, content: list[str]) -> None:
    """Turn the README's links to these pages into theirs, and those to other files into plain text."""

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        here = target.removeprefix("docs/")
        return f"[{text}]({here})" if here != target or target.startswith(("https:", "#")) else text

    content[0] = re.sub(r"\[([^\[\]]+)\]\(([^()]+)\)", link, content[0])


def _page(_app: Sphinx, _name: str, content: list[str]) -> None:
    """Turn a page's links to the README into links to the front page, and those to files beside it into plain text."""
    text = content[0].replace("(../README.md", "(index.md")
    content[0] = re.sub(r"\[([^\[\]]+)\]\(\.\./[A-Z]+\.md[^()]*\)", r"\1", text)


def listed(paragraph: str) -> str:
    """Make list items of `name: meaning` lines, which a sentence may follow; any other paragraph stays as it is."""
    items, *sentence = re.split(r"\n(?=[A-Z]\w+ )", paragraph, maxsplit=1)
    if not all(re.match(r"\w+(, \w+)*: |    ", line) for line in items.splitlines()):
        return paragraph
    items = re.sub(
        r"^(\w[^:\n]*): ", r"- `\1`: ", re.sub(r"^    ", "  ", items, flags=re.MULTILINE), flags=re.MULTILINE
    )
    return "\n\n".join([items, *sentence])


def _docstring(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    lines[:] = rest("\n\n".join(map(listed, "\n".join(lines).split("\n\n")))).splitlines()


def _signature(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write arrays as their authors did."""
    array = r"~?numpy\.ndarray\[tuple\[.*?\], ~?numpy\.dtype\[~?(?:numpy|typing)\.(\w+)\]\]"
    return signature and re.sub(array, r"NDArray[\1]", signature), returns


def _inline(translator: SphinxTranslator, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _display(translator: SphinxTranslator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Write formulas as MathML, which browsers show by themselves, and read docstrings as they are written."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("source-read", _page)
    app.connect("include-read", _readme)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
