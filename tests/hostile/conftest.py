"""Good files, for hostile ones to be made from."""

import itertools
import os
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.decision import Decision, Threshold
from tests.runtime.deep import deep, png, ppm, tiff
from tests.runtime.heif import heic
from tests.runtime.later import later_model
from tests.trainer.data.test_load import write_idx
from trainer import Checkpoint, Fit, FitConfig, fit, save_checkpoint

from .cases import few_images

IMAGE_FORMATS = "PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"
MODES = "L", "RGB", "RGBA", "P", "1", "CMYK", "I;16"


def unfinished(solver: str) -> Checkpoint:
    """Interrupt a fit as soon as it lets itself be interrupted."""
    stops, saved = iter([False, True, True]), list[Fit]()
    config = FitConfig(solver=solver, epochs=6, batch_size=1, device="cpu")
    fit(few_images(), config, on_checkpoint=saved.append, stop=lambda: next(stops))
    assert not saved[-1].finished
    return saved[-1].checkpoint


def with_later_entries(checkpoint: Checkpoint) -> Checkpoint:
    """Add what version 3 of a checkpoint has."""
    threshold = Threshold(probability=0.5, label=None, max_error=0.02, confidence=0.95, images=360, coverage=0.9)
    return replace(
        checkpoint,
        image=replace(checkpoint.image, fit="crop"),
        centre=checkpoint.mean.repeat(64),
        scale=checkpoint.std.repeat(64),
        decision=Decision(temperature=1.5, bias=(0.0,) * 10, thresholds=(threshold,)),
    )


def draw(folder: Path) -> None:
    """Save a picture in every format and every mode that the format has, and with 16 bits a channel."""
    folder.mkdir()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8))
    for kind in IMAGE_FORMATS:
        for mode in MODES:
            path = folder / f"{mode.replace(';', '')}.{kind.lower()}"
            try:
                (Image.new(mode, (9, 12), 300) if mode == "I;16" else picture.convert(mode)).save(path, kind)
            except (OSError, ValueError):  # a mode that the format does not have
                path.unlink(missing_ok=True)
    if find_spec("pillow_heif"):
        (folder / "picture.heic").write_bytes(heic(picture, quality=50))
    for channels in (3, 4):
        values = deep(channels)
        (folder / f"deep{channels}.png").write_bytes(png(values))
        for planes, packed in itertools.product((False, True), repeat=2):
            path = folder / f"deep{channels}{planes:d}{packed:d}.tiff"
            path.write_bytes(tiff(values, planes=planes, packed=packed, tile=16 if planes else 0))
    (folder / "deep.ppm").write_bytes(ppm(deep(3)))
    (folder / "plain.ppm").write_bytes(ppm(deep(3), plain=True))
    (folder / "endless.jpeg").write_bytes((folder / "RGB.jpeg").read_bytes()[:-2])


def photos(folder: Path, labels: tuple[str, str] = ("day", "night"), each: int = 10) -> None:
    """Lay out a folder of light and one of dark images."""
    for label, level in zip(labels, (180, 20), strict=True):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            pixels = np.random.default_rng([level, number]).integers(level, level + 60, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


@pytest.fixture(scope="session")
def good(exported: dict[str, Path], checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `given`, what commands may be given, with odd things beside it; and `runs`, some of them."""
    folder = tmp_path_factory.mktemp("good")
    given, runs = folder / "given", folder / "runs"
    few = replace(checkpoint, sample_images=checkpoint.sample_images[:20])
    for name, content in (
        ("few", few),
        ("later", with_later_entries(few)),
        ("sgd", unfinished("sgd")),
        ("lbfgs", unfinished("lbfgs")),
    ):
        save_checkpoint(content, runs / name / "model.safetensors")
    (runs / "damaged").mkdir()
    (runs / "damaged" / "model.safetensors").write_bytes((runs / "few" / "model.safetensors").read_bytes()[:2000])
    given.mkdir()
    for path in exported.values():
        shutil.copy(path, given)
    (given / "later.onnx").write_bytes(later_model())
    draw(given / "pictures")
    photos(given / "photos")
    write_idx(given / "MNIST" / "raw")
    (given / "half.onnx").write_bytes(exported["onnx"].read_bytes()[:2000])
    (given / "none.png").write_bytes(b"no image")
    for name, target in (("loop", "loop"), ("dangling", "nowhere"), ("zero", "/dev/zero")):
        (given / name).symlink_to(target)
    os.mkfifo(given / "pipe")
    return folder
