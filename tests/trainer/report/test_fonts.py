"""The choice of fonts: what the user has set, what lacks there, and what no font has."""

from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from tests.trainer.report.fonts import own_fonts, write_font
from trainer.report.fonts import families_for


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of fonts that the system has beside matplotlib's own, and that matplotlib has not listed yet."""
    paths: list[str] = []
    monkeypatch.setattr(fontManager, "ttflist", own_fonts())
    monkeypatch.setattr("trainer.report.fonts.findSystemFonts", lambda: paths)
    return paths


def silent(message: str) -> None:
    raise AssertionError(message)


def test_latin_names_have_one_family() -> None:
    assert families_for("dog, Köter, пёс, ⋯", silent) == ["DejaVu Sans"]


def test_fonts_installed_after_matplotlib_listed_them(installed: list[str], tmp_path: Path) -> None:
    (tmp_path / "damaged.ttf").write_bytes(b"\x00\x01\x00\x00 no font")
    installed += map(str, [tmp_path / "damaged.ttf", write_font(tmp_path / "a.ttf", "Kana Sans", "いぬねこ")])
    families = families_for("dog いぬ ねこ", silent)
    assert families == ["DejaVu Sans", "Kana Sans"]
    figure = Figure()
    with matplotlib.rc_context({"font.family": families}):
        figure.text(0.5, 0.5, "dog いぬ")
    figure.canvas.draw()  # a glyph that is missing would be a warning


def test_few_fonts_with_many_characters_each(installed: list[str], tmp_path: Path) -> None:
    for name, characters in (("Some", "犬"), ("Most", "犬猫鳥"), ("Others", "魚ア"), ("None", "xyz")):
        installed.append(str(write_font(tmp_path / f"{name}.ttf", name, characters)))
    assert families_for("犬 猫 鳥 魚", silent) == ["DejaVu Sans", "Most", "Others"]


@pytest.mark.parametrize(("family", "blank"), [("Blank", True), ("Last Resort", False)])
def test_fonts_that_draw_nothing_or_boxes(family: str, blank: bool, installed: list[str], tmp_path: Path) -> None:
    installed.append(str(write_font(tmp_path / "font.ttf", family, "犬", blank=blank)))
    said: list[str] = []
    assert families_for("犬", said.append) == ["DejaVu Sans"]
    assert len(said) == 1


def test_sans_serif_faces_come_first(installed: list[str], tmp_path: Path) -> None:
    names = ("A Serif", "B Sans", "C Sans")
    installed += [str(write_font(tmp_path / f"{name}.ttf", name, "犬")) for name in names]
    assert families_for("犬", silent) == ["DejaVu Sans", "B Sans"]


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        (["serif"], ["DejaVu Serif"]),
        (["STIXGeneral", "monospace"], ["STIXGeneral", "DejaVu Sans Mono"]),
        (["No Such Family"], []),
    ],
)
def test_the_users_families_come_first(mine: list[str], expected: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with matplotlib.rc_context({"font.family": mine}):
        assert families_for("dog", silent) == [*expected, "DejaVu Sans"]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "named", "package"),
    [
        ("犬", "for 犬, as no installed font has it", "fonts-noto-cjk"),
        ("dog 강아지", "for 강아지, as no installed font has these", "fonts-noto-cjk"),
        ("नमन", "for नम, as", "fonts-noto-core"),
        ("🦴", "for 🦴,", "fonts-symbola"),
        ("一丁七万丈三上下不与丐丑且", "for 一丁七万丈三上下不与丐丑…,", "fonts-noto-cjk"),
    ],
)
def test_what_no_font_has(text: str, named: str, package: str) -> None:
    said: list[str] = []
    assert families_for(text, said.append) == ["DejaVu Sans"]
    assert len(said) == 1
    assert named in said[0]
    assert package in said[0]


@pytest.mark.parametrize("text", ["a b", "a\u200db", "a\ufe0fb", ""])
def test_what_is_invisible_needs_no_font(text: str) -> None:
    assert families_for(text, silent) == ["DejaVu Sans"]
