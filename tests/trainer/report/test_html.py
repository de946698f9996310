"""report.html: one page with nothing from elsewhere; what its cells open, in a browser where there is one."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.browser import findings, needs_chromium, opened
from tests.interpreter import Kit
from trainer import Dataset, Split
from trainer.data.names import Names
from trainer.report import html
from trainer.report.html import report_page


def a_report(labels: list[str], images: int) -> dict[str, object]:
    scores = {"precision": 0.5, "recall": 0.25, "f1": 0.3333, "images": 3}
    return {
        "labels": labels,
        "data": {"name": "<pets> & co", "test_images": images},
        "figures": {"test_accuracy": 0.75, "test_loss": 0.5},
        "metrics": {"calibration_error": 0.0123, "per_class": dict.fromkeys(labels, scores)},
        "settings": {"seed": 3, "lr": None},
        "versions": {"torch": "2"},
        "audit": {"findings": [{"kind": "blank", "part": "test", "image": "<x>.png", "label": "a", "other": ""}]},
    }


def subject(labels: int, images: int, side: int = 8) -> tuple[Split, np.ndarray]:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, side, side, 3), np.uint8)
    names = Names(lambda place: f"<b>{place}</b> 'x'.png", np.arange(images))
    split = Split.of(pixels, np.arange(images) % labels)
    probabilities = generator.dirichlet(np.ones(labels), images).astype(np.float32)
    return Split(split.images, split.targets, named=names), probabilities


class Tags(HTMLParser):
    """Counts the tags, and keeps the addresses of what is loaded."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


def embedded(page: str) -> dict[str, dict[str, list[list[object]]]]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, dict[str, list[list[object]]]] = json.loads(text)
    return found


def test_names_and_labels_are_text_and_nothing_is_loaded(tmp_path: Path) -> None:
    labels = ["</script><script>alert(1)</script>", "b & 'c'", '"d"']
    split, probabilities = subject(3, 60)
    page = report_page(tmp_path, a_report(labels, 60), split, probabilities)
    tags = Tags(page)
    assert tags.tags.count("script") == 2
    assert "b" not in tags.tags
    assert all(source.startswith("data:image/") for source in tags.sources)
    assert "http" not in page
    assert "&lt;pets&gt; &amp; co" in page
    assert "&lt;x&gt;.png" in page
    assert embedded(page)["labels"] == labels  # type: ignore[comparison-overlap]
    assert page.count("<h2>") == 6


def test_a_cell_has_its_worst_images_first(tmp_path: Path) -> None:
    split, probabilities = subject(3, 300)
    data = embedded(report_page(tmp_path, a_report(["a", "b", "c"], 300), split, probabilities))
    targets, best = split.targets.numpy(), probabilities.argmax(axis=1)
    for cell, images in data["cells"].items():
        true, predicted = map(int, cell.split("-"))
        rows = np.flatnonzero((targets == true) & (best == predicted))
        assert data["counts"][cell] == len(rows)  # type: ignore[comparison-overlap]
        assert len(images) == min(len(rows), html.EACH)
        shown = [probability for _, probability, _ in images]
        assert shown == sorted(shown, reverse=true != predicted)  # type: ignore[type-var]
        assert {name for name, _, _ in images} <= {f"<b>{row}</b> 'x'.png" for row in rows}


def test_large_images_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_BYTES", 60_000)
    split, probabilities = subject(2, 100, side=96)
    page = report_page(tmp_path, a_report(["a", "b"], 100), split, probabilities)
    addresses = [address for images in embedded(page)["cells"].values() for _, _, address in images]
    assert 0 < len(addresses) < 40
    assert sum(len(str(address)) for address in addresses) <= 60_000


def test_many_labels_are_a_list(tmp_path: Path) -> None:
    split, probabilities = subject(101, 202)
    page = report_page(tmp_path, a_report([f"n{place}" for place in range(101)], 202), split, probabilities)
    assert '<table class="matrix">' not in page
    assert '<ul class="list">' in page


def test_a_run_has_one(run_kit: Kit, digits: Dataset) -> None:
    assert run_kit("train", "--data", "digits", "--out", "run").exit_code == 0
    page = Path("run/report.html").read_text()
    assert page.count("data:image/png;base64,") > 300
    assert len(page) < 1_000_000
    assert 'alt="Loss and accuracy by epoch"' in page
    matrix = json.loads(Path("run/report.json").read_text())["metrics"]["confusion_matrix"]
    counts = embedded(page)["counts"]
    assert counts == {f"{i}-{j}": n for i, row in enumerate(matrix) for j, n in enumerate(row) if n}
    assert len(digits.labels) == 10


@pytest.mark.spawns
@needs_chromium
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # playwright's event loop
def test_in_a_browser_a_cell_opens_its_images(tmp_path: Path) -> None:
    """On a phone, from a file, with the keyboard; nothing is loaded, and axe-core finds nothing serious."""
    split, probabilities = subject(3, 60)
    page = report_page(tmp_path, a_report(["a", "b", "c"], 60), split, probabilities)
    (tmp_path / "page.html").write_text(page)
    images = embedded(page)["cells"]["0-1"]
    with opened(tmp_path / "page.html") as (window, asked):
        assert findings(window) == []
        window.focus("button[data-cell='0-1']")
        window.keyboard.press("Enter")
        assert window.locator("#images h3").inner_text() == f"{len(images)} test images of a, predicted b"
        assert window.locator("#images img").count() == len(images)
        assert window.locator("#images li span").nth(1).inner_text() == images[0][0]
        assert findings(window) == []
        assert window.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [address for address in asked if not address.startswith("data:")] == [asked[0]]
