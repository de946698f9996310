"""The findings of an audit as a page of thumbnails: one HTML file with no script and nothing from elsewhere."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from ..data.dataset import Dataset

SHOWN, SIDE = 100, 96  # images of a kind, and pixels of the longest side of a thumbnail
EXACT = 48  # pixels of the longest side, up to which a thumbnail loses nothing
STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem }
ul { display: flex; flex-wrap: wrap; gap: 1rem; list-style: none; padding: 0 }
li { max-width: 10rem; overflow-wrap: anywhere; font-size: .85rem }
img { width: 6rem; height: 6rem; object-fit: contain; image-rendering: pixelated; background: #8884 }
"""


def page(data: Dataset, findings: Sequence[Mapping[str, Any]]) -> str:
    """Lay the findings out, the first SHOWN images of each kind.

    findings: rows of `audit`, sorted by kind.
    """
    places = _places(data, {finding["image"] for finding in findings if finding["image"]})
    sections = [_section(data, places, kind, list(rows)) for kind, rows in groupby(findings, lambda row: row["kind"])]
    title = f"Audit of {escape(data.name)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        + ("\n".join(sections) or "<p>Nothing was found.</p>")
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(data: Dataset, places: Mapping[tuple[str, str], int], kind: str, rows: list[Mapping[str, Any]]) -> str:
    more = f", the first {SHOWN} of them" if len(rows) > SHOWN else ""
    items = "\n".join(_item(data, places, row) for row in rows[:SHOWN])
    return f"<h2>{escape(kind)}: {len(rows):,}{more}</h2>\n<ul>\n{items}\n</ul>"


def _item(data: Dataset, places: Mapping[tuple[str, str], int], row: Mapping[str, Any]) -> str:
    picture, place = "", places.get((row["part"], row["image"]))
    if place is not None:
        image = getattr(data, row["part"]).images[place].numpy()
        picture = f'<img src="{thumbnail(image)}" alt="{escape(_shown(row["image"]))}">'
    words = [row["image"], f"label {row['label']}", row["other"] and f"→ {row['other']}"]
    return f"<li>{picture}<br>{'<br>'.join(escape(_shown(word)) for word in words if word)}</li>"


def _places(data: Dataset, wanted: set[str]) -> dict[tuple[str, str], int]:
    """Find the rows of images by part and name."""
    found = {}
    for part in ("train", "val", "test"):
        split = getattr(data, part)
        for row in range(len(split) if split else 0):
            if (name := split.names[row]) in wanted:
                found[part, name] = row
    return found


def thumbnail(image: Any) -> str:
    """Return an image [H, W, C], at most SIDE × SIDE, as an address that holds it: a PNG, or a JPEG if it is large."""
    from PIL import Image

    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    kind = "JPEG" if max(picture.size) > EXACT else "PNG"
    picture.save(file, kind, optimize=True)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(file.getvalue()).decode()


def _shown(text: str) -> str:
    """Replace what no UTF-8 has."""
    return text.encode("utf-8", "backslashreplace").decode()
