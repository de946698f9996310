"""Debian's Chromium, driven by playwright, with axe-core's checks of accessibility."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium: apt-get install chromium")
PHONE, DESKTOP = (390, 844), (1400, 900)


@contextmanager
def opened(page: Path, size: tuple[int, int] = PHONE, flags: Sequence[str] = ()) -> Iterator[tuple[Any, list[str]]]:
    """Open a file in a window of this width and height; yields the page, and the addresses that it asked for.

    flags: more options of Chromium.
    """
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
        try:
            window = browser.new_page(viewport={"width": size[0], "height": size[1]})
            window.on("request", lambda request: asked.append(request.url))
            window.goto(page.resolve().as_uri())
            yield window, asked
        finally:
            browser.close()


def findings(window: Any) -> list[str]:
    """What axe-core has to say against a page that is open, its serious and critical findings."""
    window.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    violations = window.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {one['help']}" for one in violations if one["impact"] in ("serious", "critical")]
