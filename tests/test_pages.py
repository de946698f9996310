"""The pages as `make docs` builds them: complete, findable, and legible on a screen and on a phone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sphinx.search.en import SearchEnglish

import export
import runtime
import trainer
from tests.browser import DESKTOP, PHONE, findings, needs_chromium, opened
from tests.reader import ROOT

WORDS = ("threshold", "dropout", "transfer", "learning", "quantisation", "quantization", "Raspberry", "Pi", "Arduino")
WIDER = """() => [...document.querySelectorAll("article *")].filter(one => {
    const scrolls = found => found && found.tagName != "ARTICLE"
        && (getComputedStyle(found).overflowX != "visible" || scrolls(found.parentElement));
    return !scrolls(one) && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(one => one.outerHTML.slice(0, 100))"""
BROKEN = """() => [...document.querySelectorAll("article code .pre")].filter(one => {
    const lines = document.createRange();
    lines.selectNodeContents(one);
    return /^--[a-z-]+$/.test(one.textContent) && lines.getClientRects().length > 1;
}).map(one => one.textContent)"""

pytestmark = [pytest.mark.slow, pytest.mark.spawns]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a copy as the Makefile says, where a warning is an error."""
    place = tmp_path_factory.mktemp("pages")
    shutil.copytree(ROOT / "docs", place / "docs", ignore=shutil.ignore_patterns("_build"))
    for name in ("README.md", "benchmarks", "export", "kit.py", "runtime", "trainer"):
        (place / name).symlink_to(ROOT / name)
    recipe = re.search(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    for line in recipe[1].replace("/kit ", "/python -m kit ").splitlines():
        program, *words = line.split()
        assert program == "$(VENV)/bin/python"
        command = [sys.executable, *words]
        result = subprocess.run(command, capture_output=True, text=True, cwd=place, timeout=600, check=False)
        assert result.returncode == 0, result.stderr
    return place / "docs/_build/html"


def test_a_page_fetches_nothing_and_has_its_plots(html: Path) -> None:
    text = "".join(path.read_text() for path in html.glob("*.html"))
    loaded = re.findall(r'<(?:script|img|iframe)\b[^>]* src="([^"]*)"|<link rel="stylesheet"[^>]* href="([^"]*)"', text)
    assert not [source for pair in loaded for source in pair if "//" in source]
    assert all(f'src="_images/{name}.png"' in text for name in ("confusion", "curves", "mistakes", "weights"))


def test_every_public_name_is_there_with_its_source(html: Path) -> None:
    text = (html / "api.html").read_text()
    linked = set(re.findall(r'href="_modules/[\w/]+\.html#([\w.]+)"><span class="viewcode-link">', text))
    for package in (runtime, trainer, export):
        for name in package.__all__:
            assert f'id="{package.__name__}.{name}"' in text, name
            assert name in {link.rpartition(".")[2] for link in linked}, name
    assert text.index('id="errors-and-warnings"') > text.rindex('class="py class"')


def test_settings_have_a_row_each(html: Path) -> None:
    table = (html / "api.html").read_text().partition('id="trainer.FitConfig"')[2].partition("</table>")[0]
    names = re.findall(r'<tr class="row-\w+"><td><p><code[^>]*><span class="pre">(\w+)</span>', table)
    assert names == list(vars(trainer.FitConfig())), "with their meanings, so that none is missing"


@pytest.mark.parametrize("word", WORDS)
def test_the_search_knows(html: Path, word: str) -> None:
    index = json.loads((html / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    stem = SearchEnglish({}).stem(word.lower())
    assert stem in index["terms"] or stem in index["titleterms"]


@needs_chromium
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_formulas_are_whole(html: Path, size: tuple[int, int]) -> None:
    """None is cut at the edge of its box: it looks the same where the box shows what is beyond it."""
    with opened(html / "softmax_regression.html", size) as (window, _):
        assert window.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"STIX Two Math\"'))")
        shown = window.screenshot(full_page=True)
        window.add_style_tag(content=".math-wrapper { overflow: visible !important; }")
        assert window.screenshot(full_page=True) == shown


@needs_chromium
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_are_accessible_and_scroll_only_downwards(html: Path, size: tuple[int, int]) -> None:
    """Tables and code scroll inside themselves; options do not break after a hyphen."""
    found = {}
    with opened(html / "index.html", size) as (window, _):
        for page in sorted(html.glob("*.html")):
            window.goto(page.as_uri())
            found[page.stem] = findings(window) + window.evaluate(WIDER) + window.evaluate(BROKEN)
    assert not {page: faults for page, faults in found.items() if faults}
