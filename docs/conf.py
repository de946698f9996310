"""How Sphinx builds these pages: `make docs`. Nothing is fetched, neither for the build nor by the reader's browser."""

import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from importlib.resources import files
from inspect import formatannotation
from pathlib import Path
from textwrap import indent
from typing import Any

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
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
highlight_language = "none"
nitpicky = True
# Types of other packages, of which there is no inventory to look into; those of ours that are not public; and aliases.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections\.abc|np|numpy|os|pathlib|torch|typing)\..*"),
    (r"py:.*", r"(export|runtime|trainer)(\.[a-z_]+)+\.\w+"),
    (r"py:.*", r"(Choice|FilePath|ImageLike|Pixels|Remarks)"),
    (r"py:.*", r"(float\d+|u?int\d+|Any|Callable|Iterable|Mapping|NDArray|Path|Sequence|Tensor)"),
]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 120

html_theme = "furo"
html_title = "softmax-kit"
html_static_path = ["_static", str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["pages.css"]
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


def is_settings(found: object) -> bool:
    """Whether this is a dataclass of keyword arguments that all have defaults."""
    return is_dataclass(found) and all(one.kw_only and one.default is not MISSING for one in fields(found))


def tabled(settings: Any, text: str) -> str:
    """Make a table of the list of settings, a row each, with types and defaults."""
    items = re.findall(r"^- (.*?): (.*(?:\n  .*)*)\n?", text, re.MULTILINE)
    meanings = {name: meaning for names, meaning in items for name in re.findall(r"\w+", names)}
    rows = [("setting", "type", "default", "meaning")]
    for one in fields(settings):
        written = re.sub(r"[a-z.]+[.]", "", formatannotation(one.type))
        meaning = " ".join(meanings[one.name].split())
        rows.append((f"``{one.name}``", f"``{written}``", f"``{one.default!r}``", meaning))
    table = "\n".join("   * - " + "\n     - ".join(row) for row in rows)
    summary, _, items_on = text.partition("\n- ")
    return "\n\n".join([summary, f".. list-table::\n   :header-rows: 1\n\n{table}", *items_on.split("\n\n")[1:]])


def _docstring(_app: Sphinx, _what: str, _name: str, found: object, _options: object, lines: list[str]) -> None:
    text = rest("\n\n".join(map(listed, "\n".join(lines).split("\n\n"))))
    lines[:] = (tabled(found, text) if is_settings(found) else text).splitlines()


def _signature(
    _app: Sphinx, _what: str, _name: str, found: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write arrays as their authors did, and leave settings to their table."""
    array = r"~?numpy\.ndarray\[tuple\[.*?\], ~?numpy\.dtype\[~?(?:numpy|typing)\.(\w+)\]\]"
    written = "(**settings)" if is_settings(found) else signature
    return written and re.sub(array, r"NDArray[\1]", written), returns


def mathml(tex: str, *, block: bool = False) -> str:
    """Set a formula, with what docutils lacks: an index beside a letter with a hat, norms as high as the line, ln x."""
    written = tex2mathml(re.sub(r"(\\hat\{\w\})_", r"{\1{}}_", tex), as_block=block)
    written = re.sub(r"<mo[^>]*>‖", '<mo stretchy="false">‖', written)
    return re.sub(r"<mi>(cos|ln)</mi>", r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', written)


def _inline(translator: SphinxTranslator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _display(translator: SphinxTranslator, node: nodes.math_block) -> None:
    """Write formulas with a \\qquad between them as several, so that narrow windows put them below one another."""
    parts = "".join(mathml(part.strip(), block=True) for part in node.astext().split(r"\qquad"))
    translator.body.append(f'<div class="math">{parts}</div>')
    raise nodes.SkipNode


def _accessible(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
    """Let the keyboard reach what scrolls, and put right the roles of captions and signatures."""
    level = 'role="heading" aria-level="2"'
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace('role="heading"', level)
    body = re.sub(r"<pre>", '<pre tabindex="0">', context.get("body", ""))
    body = re.sub(r'class="(?:math|table)-wrapper', r'tabindex="0" \g<0>', body)
    lines = re.sub(
        r'<dl>\s*((?:<dd><em class="sig-param">.*?</dd>\s*)+)</dl>', r'<span class="sig-lines">\1</span>', body
    )
    context["body"] = re.sub(r'<dd>(<em class="sig-param">.*?)</dd>', r'<span class="sig-line">\1</span>', lines)


def setup(app: Sphinx) -> None:
    """Write formulas as MathML, which browsers show by themselves, and read docstrings as they are written."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("html-page-context", _accessible, priority=900)
    app.connect("source-read", _page)
    app.connect("include-read", _readme)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
