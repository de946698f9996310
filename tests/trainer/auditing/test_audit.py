"""`trainer.audit` and `kit audit`: planted copies, conflicts, blank images, odd names; the table and the page."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.browser import findings, needs_chromium, opened
from tests.interpreter import Kit
from trainer import ConfigError, Dataset, FitConfig, Split, audit
from trainer.auditing.audit import KINDS, cheap_findings
from trainer.auditing.copies import exact_copies, near_copies
from trainer.auditing.labels import out_of_fold
from trainer.auditing.page import page

PHOTOS = load_sample_images().images


def crops(count: int, seed: int = 0, side: int = 64) -> np.ndarray:
    """Parts of scikit-learn's photos that overlap little."""
    generator, found = np.random.default_rng(seed), []
    places = [
        (photo, top, left)
        for photo in range(2)
        for top in range(0, 427 - side, side)
        for left in range(0, 640 - side, side)
    ]
    for place in generator.permutation(len(places))[:count]:
        photo, top, left = places[place]
        found.append(PHOTOS[photo][top : top + side, left : left + side])
    return np.stack(found)


def dataset(train: np.ndarray, test: np.ndarray, labels: tuple[str, ...] = ("a", "b")) -> Dataset:
    parts = [Split.of(images, np.arange(len(images)) % len(labels)) for images in (train, test)]
    return Dataset(name="crops", labels=labels, train=parts[0], test=parts[1])


def kinds(findings: list[dict[str, object]]) -> Counter[object]:
    return Counter(finding["kind"] for finding in findings)


def altered(image: np.ndarray, way: str) -> np.ndarray:
    picture = Image.fromarray(image)
    side = picture.width
    if way == "encoded":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        picture = Image.open(file)
    elif way == "resized":
        picture = picture.resize((side * 6 // 10,) * 2, Image.Resampling.BILINEAR).resize((side, side))
    else:
        picture = picture.crop((2, 2, side - 2, side - 2)).resize((side, side))
    return np.asarray(picture)


def test_exact_copies_are_found_and_none_is_invented() -> None:
    images = crops(60)
    assert exact_copies(torch.from_numpy(images)) == []
    twice = np.concatenate([images, images[[3, 7, 3]]])
    assert exact_copies(torch.from_numpy(twice)) == [[3, 60, 62], [7, 61]]


@pytest.mark.parametrize("way", ["encoded", "resized", "cropped"])
def test_altered_copies_are_found(way: str) -> None:
    """Of all but plain sky, whose few grey levels JPEG changes."""
    images = crops(80)
    plain = images.mean(3).std((1, 2)) < 4
    sources = np.flatnonzero(~plain)[:20].tolist()
    copies = np.stack([altered(images[row], way) for row in sources])
    found = near_copies(torch.from_numpy(np.concatenate([images, copies])))
    assert {(pair.row, pair.other) for pair in found} >= {(80 + place, row) for place, row in enumerate(sources)}
    assert len(found) <= 22


def test_copies_by_where_they_are() -> None:
    images = crops(60)
    train, test = images[:40].copy(), images[40:].copy()
    train[10], train[12] = train[0], train[1]  # the same class; another one
    test[4] = train[2]
    data = dataset(train, test)
    found = {finding.kind: finding for finding in cheap_findings(data)}
    assert set(found) == {"copy", "same image in two classes", "copy across parts"}
    assert (found["copy"].image, found["copy"].other) == ("10", "0")
    assert (found["same image in two classes"].label, found["same image in two classes"].other) == ("a", "1")
    assert (found["copy across parts"].part, found["copy across parts"].image) == ("test", "4")
    every = audit(data, near=False, labels=False)
    assert kinds(every) == kinds([finding._asdict() for finding in cheap_findings(data)])


def test_blank_and_badly_exposed_images_and_small_classes() -> None:
    train, test = crops(44)[:42].copy(), crops(44)[42:].copy()
    train[0], train[1], train[2] = 120, 255, 0
    train[1, 0, 0], train[2, 0, 0] = 0, 255
    data = dataset(train, test, ("a", "b", "c", "d", "e"))
    found = audit(data, near=False, labels=False)
    assert kinds(found) == {"blank": 1, "over-exposed": 1, "under-exposed": 1, "small class": 5}
    assert [finding["image"] for finding in found][:3] == ["0", "1", "2"]
    assert KINDS.index("blank") < KINDS.index("small class")


def test_a_clean_set_has_nothing(digits: Dataset) -> None:
    assert audit(digits, near=False, labels=False) == []


def test_the_tables_are_taken_by_pandas(digits: Dataset) -> None:
    pandas = pytest.importorskip("pandas")
    some = replace(digits, train=digits.train.subset(torch.arange(300) % 299))  # with a copy
    table = pandas.DataFrame(audit(some))
    assert list(table.columns) == ["kind", "part", "image", "label", "other", "score"]


def write(folder: Path, images: Iterable[np.ndarray], names: list[str]) -> None:
    for image, name in zip(images, names, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)


def test_kit_audit_with_odd_names(run_kit: Kit, tmp_path: Path) -> None:
    """Labels and names that are HTML or formulas are shown as text."""
    images = crops(40)
    labels = ["=cmd()", "<b>&bold</b>"]
    names = [f"{labels[number % 2]}/{number} <img onerror=x> 'a' ü.png" for number in range(40)]
    write(
        tmp_path / "photos",
        np.concatenate([images, images[:2]]),
        [*names, f"{labels[0]}/=copy.png", f"{labels[0]}/z.png"],
    )
    result = run_kit("audit", "photos", "--image-size", "32")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(Path("audits/photos/audit.csv").read_text().splitlines()))
    found = {row["kind"]: row for row in rows}
    assert {"copy across parts", "copy", "same image in two classes"} & set(found)
    assert not [cell for row in rows for cell in row.values() if cell.startswith("=")]
    text = Path("audits/photos/audit.html").read_text()
    assert "<img onerror" not in text
    assert "<b>&bold" not in text
    assert "&lt;b&gt;&amp;bold" in text
    assert "http" not in text
    assert text.count("data:image/png;base64,") >= 2
    assert result.stdout.splitlines()[-1] == "wrote audits/photos/audit.csv and audit.html"


def test_kit_audit_as_json_of_data_without_files(run_kit: Kit) -> None:
    result = run_kit("audit", "digits", "--no-near", "--json")
    assert result.exit_code == 0
    assert {finding["kind"] for finding in json.loads(result.stdout)} == {"likely wrong label"}


def test_a_page_of_nothing_and_of_much(digits: Dataset) -> None:
    assert "Nothing was found." in page(digits, [])
    row = {"kind": "blank", "part": "train", "image": "3", "label": "1", "other": "", "score": 0.0}
    many = page(digits, [row] * 150)
    assert "<h2>blank: 150, the first 100 of them</h2>" in many
    assert many.count("<li>") == 100


def test_one_class_alone_is_refused(run_kit: Kit, tmp_path: Path) -> None:
    write(tmp_path / "one", crops(4), [f"only/{number}.png" for number in range(4)])
    result = run_kit("audit", "one")
    assert result.exit_code == 1
    assert "expected at least 2 classes" in result.stderr
    assert not Path("audits").exists()


def test_images_less_than_half_as_large_as_the_models(run_kit: Kit, tmp_path: Path) -> None:
    """Beside one that cannot be read."""
    images = crops(40)
    write(tmp_path / "photos", images, [f"{'ab'[number % 2]}/{number:02}.png" for number in range(40)])
    write(tmp_path / "photos", [images[0][:31, :31], images[1][:31, :32], images[2][:20, :20]],
          ["a/tiny.png", "a/wide.png", "b/tiny.png"])  # fmt: skip
    (tmp_path / "photos" / "a" / "00.png").write_bytes(b"no image")
    options = ["--image-size", "64", "--no-near", "--no-labels", "--json", "--max-unreadable", "0.05"]
    for _ in range(2):  # the second time from the cache
        result = run_kit("audit", "photos", *options)
        assert result.exit_code == 0, result.stderr
        found = [finding for finding in json.loads(result.stdout) if finding["kind"] == "tiny"]
        assert sorted(finding["image"] for finding in found) == ["a/tiny.png", "b/tiny.png"]
        assert "a/00.png" in result.stderr


def test_the_memory_limit_is_the_fits(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def noted(data: Dataset, config: FitConfig | None, memory_limit: int, **settings: Any) -> NDArray[np.float32]:
        limits.append(memory_limit)
        return out_of_fold(data, config, memory_limit, **settings)

    monkeypatch.setattr("trainer.auditing.labels.out_of_fold", noted)
    some = replace(digits, train=digits.train.subset(torch.arange(300)))
    audit(some, near=False, memory_limit=2**25)
    assert limits == [2**25]
    with pytest.raises(ConfigError, match="memory_limit: expected at least 16,777,216 bytes, 16 MiB, found 1"):
        audit(some, memory_limit=1)
    many = replace(digits, train=digits.train.subset(torch.arange(7000) % 1400))
    with pytest.raises(ConfigError, match="bytes for near copies among 7,360 images, found 16,777,216: raise --memory"):
        audit(many, labels=False, memory_limit=2**24)


@pytest.mark.spawns
@needs_chromium
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # playwright's event loop
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    train = crops(40)
    train[3], train[5] = train[2], 0
    data = dataset(train[:30], train[30:])
    (tmp_path / "audit.html").write_text(page(data, audit(data, labels=False)))
    with opened(tmp_path / "audit.html") as (window, asked):
        assert findings(window) == []
        assert window.locator("img").count() >= 2
        assert window.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [address for address in asked if not address.startswith("data:")] == [asked[0]]
