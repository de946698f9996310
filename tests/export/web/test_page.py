"""The page in Chromium: what people do with it, on a phone, by keyboard and by screen reader; and hostile names."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runtime
from runtime.decision import Decision, Threshold
from runtime.image import ImageContract
from tests.browser import PHONE, findings, needs_chromium, opened
from tests.export.c.made import made
from tests.export.web.made import artefact, base64_of, web_page
from tests.export.web.pictures import encoded, picture

pytestmark = [needs_chromium, pytest.mark.spawns]

READY = "#selftest:not(:empty)"
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
HOSTILE = (
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", '" onmouseover="alert(3)', "&lt;b&gt; &amp;",
    "مرحبا", "\u202egnp.exe", "${model}", "`${alert(4)}`", "日本語 🙂",
)  # fmt: skip
TRANSFER = """([content, type]) => {
  const data = new DataTransfer(), bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  data.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  const settings = type === "paste" ? { clipboardData: data } : { dataTransfer: data };
  const Kind = type === "paste" ? ClipboardEvent : DragEvent;
  document.body.dispatchEvent(new Kind(type, { bubbles: true, cancelable: true, ...settings }));
}"""
PNG = encoded(picture(45, 33, "RGB"), "PNG")


Show = Callable[..., tuple[Any, list[str]]]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """Open a page in one browser for all tests: the page, ready, and the addresses that it asked for."""
    blank = tmp_path_factory.mktemp("blank") / "blank.html"
    blank.write_text("<!doctype html><title>blank</title>")
    with opened(blank, flags=CAMERA) as (window, asked):
        window.add_init_script("globalThis.alerts = []; globalThis.alert = (text) => alerts.push(text);")

        def shown(page: Path, ready: str = READY) -> tuple[Any, list[str]]:
            asked.clear()
            window.goto(page.resolve().as_uri())
            window.wait_for_selector(ready)
            return window, asked

        yield shown


def answer(window: Any) -> str:
    """The page's answer, without marks of direction, once there is one."""
    window.wait_for_selector("#bars li")
    return re.sub("[\u2068\u2069]", "", window.inner_text("#answer"))


def test_an_image_on_a_phone(show: Show, page: Path, exported: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(PNG)
    expected = runtime.load(exported["onnx-int8"]).classify(tmp_path / "picture.png", top_k=10)
    window, asked = show(page)
    assert findings(window) == []
    window.set_input_files("#file", tmp_path / "picture.png")
    assert answer(window) == f"{expected.label}, {100 * expected.probability:.1f} %"
    rows = [row.split("\n") for row in window.locator("#bars li").all_inner_texts()]
    assert rows == [[label, f"{100 * probability:.1f} %"] for label, probability in expected.top]
    assert window.inner_text("#selftest").startswith("Self-test passed: 10 golden examples, largest difference 0.0")
    window.click("summary")
    assert "digits, 1437 images" in window.inner_text("#card")
    for scheme in ("light", "dark"):
        window.emulate_media(color_scheme=scheme)
        assert findings(window) == []
    assert window.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert asked == [page.resolve().as_uri()]


def test_dropped_pasted_and_from_the_camera(show: Show, page: Path) -> None:
    window, asked = show(page)
    for kind in ("drop", "paste"):
        window.evaluate("document.getElementById('bars').replaceChildren()")
        window.evaluate(TRANSFER, [base64_of(PNG), kind])
        assert answer(window).endswith(" %")
    window.evaluate("document.getElementById('bars').replaceChildren()")
    window.click("text=Open the camera")
    window.click("text=Take the picture")
    assert answer(window).endswith(" %")
    assert window.evaluate("document.getElementById('video').srcObject.active") is False
    window.evaluate(TRANSFER, [base64_of(b"no image"), "drop"])
    window.wait_for_selector("#answer:has-text('expected an image that can be decoded here')")
    assert len(asked) == 1


def test_the_keyboard_reaches_everything(show: Show, page: Path) -> None:
    window, _ = show(page)
    reached = []
    for _ in range(3):
        window.keyboard.press("Tab")
        reached.append(window.evaluate("document.activeElement.id || document.activeElement.localName"))
    window.keyboard.press("Enter")
    assert reached == ["file", "camera", "summary"]
    assert window.evaluate("document.querySelector('details').open") is True
    assert window.evaluate("document.getElementById('answer').getAttribute('role')") == "status"


def test_hostile_labels_are_text(show: Show, tmp_path: Path) -> None:
    subject = made(len(HOSTILE), ImageContract(height=4, width=4), labels=HOSTILE)
    subject.metadata.provenance["data"]["name"] = "</title><script>alert(5)</script>"
    window, asked = show(web_page(artefact(subject), tmp_path / "page.html"))
    window.evaluate(TRANSFER, [base64_of(PNG), "drop"])
    answer(window)
    assert sorted(window.locator("#bars bdi").all_text_contents()) == sorted(HOSTILE)
    assert window.title() == "</title><script>alert(5)</script>: image classifier"
    assert window.evaluate("document.scripts.length") == 2
    assert (window.evaluate("alerts"), len(asked), findings(window)) == ([], 1, [])


def test_an_answer_that_is_not_accepted(show: Show, tmp_path: Path) -> None:
    threshold = Threshold(1.0, None, 0.01, 0.95, 100, 0.5)
    subject = made(3, ImageContract(height=4, width=4), decision=Decision(thresholds=(threshold,)), spread=1.0)
    window, _ = show(web_page(artefact(subject), tmp_path / "page.html"))
    window.evaluate(TRANSFER, [base64_of(PNG), "drop"])
    assert answer(window).startswith("Not accepted: the model does not know. Likeliest: label ")
    assert "100.0 %, for at most 1.0 % errors" in window.evaluate("document.getElementById('card').textContent")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (b'id="model">', "expected the file as written, found another sha256: it was damaged, copy it again"),
        (b'<script type="module">', "If this text stays, JavaScript is off, or the page was damaged: copy it again."),
    ],
    ids=["model", "script"],
)
def test_a_damaged_page(show: Show, place: bytes, message: str, page: Path, tmp_path: Path) -> None:
    content = page.read_bytes()
    at = content.index(place) + len(place) + 3000
    changed = b"A" if content[at : at + 1] != b"A" else b"B"
    (tmp_path / "page.html").write_bytes(content[:at] + changed + content[at + 1 :])
    window, _ = show(tmp_path / "page.html", f"#answer:has-text('{message}')")
    assert window.evaluate("globalThis.classifier") is None
