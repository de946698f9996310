"""Draws docs/overview.svg, the README's picture: images, one file, and where it answers.

python docs/overview.py
"""

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

WIDTH, HEIGHT = 760, 440
INK, MUTED, ACCENT, PAPER = "#1f2328", "#59636e", "#0b62c4", "#ffffff"
PLACES = (
    ("Python, with no torch", "runtime.classify"),
    ("the browser, offline", "model.html"),
    ("Android and iOS", "model.tflite"),
    ("a microcontroller", "model.c"),
    ("C++, Rust, Node", "onnxruntime"),
)
INSIDE = ("weights", "labels", "preprocessing", "self-test", "provenance")


def text(x: float, y: float, words: str, size: int = 22, colour: str = INK, weight: str = "normal") -> str:
    """A line of text, centred."""
    style = f'font-size="{size}" fill="{colour}" font-weight="{weight}" text-anchor="middle"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str = MUTED) -> str:
    """A rounded frame."""
    shape = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10"'
    return f'<rect {shape} fill="{PAPER}" stroke="{colour}" stroke-width="2"/>'


def arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """A line with a head."""
    ends = f'x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"'
    return f'<line {ends} stroke="{INK}" stroke-width="2" marker-end="url(#head)"/>'


def digits() -> str:
    """Nine images of scikit-learn's digits, as one PNG image in base64."""
    images = load_digits().images[:9].reshape(3, 3, 8, 8) * 255 / 16
    grid = (
        np.pad(255 - images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255)
        .transpose(0, 2, 1, 3)
        .reshape(30, 30)
    )
    content = io.BytesIO()
    Image.fromarray(grid.astype(np.uint8)).resize((150, 150), Image.Resampling.NEAREST).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def picture() -> str:
    """The whole picture."""
    middle = HEIGHT / 2
    parts = [
        text(95, 62, "your images", weight="bold"),
        box(18, middle - 77, 154, 154),
        f'<image x="20" y="{middle - 75:g}" width="150" height="150" href="data:image/png;base64,{digits()}"/>',
        arrow(178, middle, 252, middle),
        text(345, 62, "one file", weight="bold"),
        box(258, 96, 174, 248, ACCENT),
        *(text(345, 138 + 44 * place, words) for place, words in enumerate(INSIDE)),
        text(95, middle + 112, "kit train", 20, ACCENT, "bold"),
        text(345, middle + 160, "kit export", 20, ACCENT, "bold"),
        text(615, 30, "the same answer", weight="bold"),
    ]
    for place, (where, how) in enumerate(PLACES):
        y = 48 + 78 * place
        parts += [
            box(486, y, 258, 66),
            text(615, y + 28, where),
            text(615, y + 54, how, 19, ACCENT),
            arrow(438, middle, 478, y + 33),
        ]
    head = (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 10 5 0 10z" fill="{INK}"/></marker></defs>'
    )
    frame = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="{PAPER}"/>'
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" role="img" aria-label="Images become one file, which gives the '
        'same answer in Python, in the browser, on phones, on microcontrollers, and in any onnxruntime">'
    )
    return "\n".join([opening, head, frame, *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).with_name("overview.svg").write_text(picture(), encoding="utf-8")
