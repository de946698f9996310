"""The C source: equal to onnx-int8 in every shape, by gcc, clang and their C++, on this machine."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import runtime
from export.c.source import at_least, int8_answers
from export.formats import onnx_int8
from export.formats.compatibility import Target
from runtime.c.model import CompiledModel
from runtime.c.targets import WARNINGS
from runtime.decision import Decision, Threshold
from runtime.image import ImageContract
from tests.compilers import COMPILERS, compiled, printed
from tests.export.c.made import Made, made

GREY, COLOUR = ImageContract(height=9, width=7), ImageContract(height=96, width=96, color="RGB")
SHAPES = {
    "grey": made(10, GREY),
    "two classes": made(2, GREY),
    "a thousand classes": made(1000, GREY),
    "eleven classes": made(11, GREY),
    "colour": made(3, COLOUR),
    "centred": made(4, GREY, centred=True),
    "sure of itself": made(10, GREY, spread=60.0),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_the_same_as_onnx_int8(shape: str, tmp_path: Path) -> None:
    subject = SHAPES[shape]
    images = subject.images(40)
    images[0], images[1] = 0, 255
    expected = subject.in_8_bits(images)
    found, labels = subject.compiled(tmp_path).answers(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))
    np.testing.assert_allclose(int8_answers(subject.numbers, images), expected, rtol=0, atol=1e-6)
    integer = subject.compiled(tmp_path, integer=True)
    found, labels = integer.answers(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))
    assert integer.selftest() == 0


@pytest.mark.parametrize("optimise", ["-O2", "-Os"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_same_bits_by_every_compiler(
    compiler: str, optimise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = SHAPES["sure of itself"]
    images = subject.images(60)
    usual = subject.compiled(tmp_path).probabilities(images)
    monkeypatch.setenv("CC", f"{compiler} {optimise}")
    np.testing.assert_array_equal(subject.compiled(tmp_path).probabilities(images), usual)


@pytest.mark.parametrize("integer", ["", "-DMADE_INTEGER"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_it_is_cpp_too(compiler: str, integer: str, tmp_path: Path) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    folder = SHAPES["centred"].folder(tmp_path, frame=(40, 30))
    command = [compiler, "-x", "c++", *WARNINGS, *([integer] if integer else []), "-c", "made.c", "-o", "made.o"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


MALFORMED = """
#include <stdio.h>
#include "made.h"

static uint8_t image[MADE_HEIGHT * MADE_ROW];
static made_probability out[MADE_CLASSES];

int main(void)
{
    made_state state;
    made_frame frame;
    uint8_t row[20 * 3] = {0};
    int y;
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        const int label = made_probabilities(image, out);
        if (label != made_classify(image) || label != made_probabilities(image, NULL)) return 1;
        made_begin(&state);
        if (made_finish(&state, out) != -1) return 2;
        for (y = 0; y < MADE_HEIGHT + 3; ++y) {
            made_add_row(&state, image + (y < MADE_HEIGHT ? y : 0) * MADE_ROW);
        }
        if (made_finish(&state, out) != label || made_finish(&state, NULL) != label) return 3;
    }
    made_frame_begin(&frame);
    if (made_frame_finish(&frame, out) != -1) return 4;
    for (y = 0; y < MADE_FRAME_HEIGHT + 5; ++y) made_frame_add_row(&frame, row, y % 9 - 2);
    if (made_frame_finish(&frame, out) < 0 || made_frame_finish(&frame, out) < 0) return 5;
    if (*made_label(-1) || *made_label(MADE_CLASSES) || !*made_label(0)) return 6;
    if (made_accepted(-1, out) || made_accepted(MADE_CLASSES, out)) return 7;
    return made_selftest() == 0 ? 0 : 8;
}
"""
THRESHOLDS = (Threshold(0.7, None, 0.02, 0.95, 300, 0.9), Threshold(0.05, "label 2", 0.01, 0.95, 300, 0.9))


@pytest.mark.parametrize("integer", [(), ("-DMADE_INTEGER",)])
def test_malformed_calls_under_sanitizers(integer: tuple[str, ...], tmp_path: Path) -> None:
    subject = made(4, GREY, decision=Decision(thresholds=THRESHOLDS))
    folder = subject.folder(tmp_path, frame=(20, 11))
    program = compiled(folder, MALFORMED, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *integer)
    printed(program, given=subject.images(500).tobytes())


ACCEPTED = """
#include <stdio.h>
#include "made.h"

int main(void)
{
    uint8_t image[MADE_HEIGHT * MADE_ROW];
    made_probability out[MADE_CLASSES];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        putchar('0' + made_accepted(made_probabilities(image, out), out));
    }
    return 0;
}
"""


def test_answers_are_accepted_as_by_the_runtime(tmp_path: Path) -> None:
    subject = made(4, GREY, decision=Decision(thresholds=THRESHOLDS), spread=4.0)
    images = subject.images(400)
    classifier = runtime.load(onnx_int8.write(subject.numbers, subject.metadata, Target()))
    expected = "".join(str(int(bool(found.accepted))) for found in classifier.classify_batch(list(images)))
    assert 20 < expected.count("1") < 380
    folder = subject.folder(tmp_path)
    assert printed(compiled(folder, ACCEPTED), given=images.tobytes()).decode() == expected
    in_integers = printed(compiled(folder, ACCEPTED, "-DMADE_INTEGER"), given=images.tobytes()).decode()
    assert sum(one != other for one, other in zip(in_integers, expected, strict=True)) <= 1


@pytest.mark.parametrize("value", [0.7, 0.1, 0.5, 1 / 3, 1.0, 0.0, 1e-40])
def test_a_threshold_as_float32_tells_the_same_numbers_apart(value: float) -> None:
    limit = np.float32(at_least(value))
    near = limit
    for _ in range(3):
        near = np.nextafter(near, np.float32(-1))
    for _ in range(7):
        assert (float(near) >= value) == bool(near >= limit)
        near = np.nextafter(near, np.float32(2))


LABELS = ("T-shirt/top", 'a "quoted" one', "back\\slash", "??/ and ??=", "犬", "%s %n", "*/", "line\nbreak", "é")
PRINT_LABELS = """
#include <stdio.h>
#include "made.h"

int main(void)
{
    int k;
    for (k = 0; k < MADE_CLASSES; ++k) {
        fputs(made_label(k), stdout);
        putchar(0);
    }
    return 0;
}
"""


def test_labels_of_any_kind(tmp_path: Path) -> None:
    labels = (*LABELS, "x" * 5000)
    subject = made(len(labels), GREY, labels=labels)
    found = printed(compiled(subject.folder(tmp_path), PRINT_LABELS))
    assert found.decode().split("\0")[:-1] == list(labels)


def test_two_models_in_one_program(tmp_path: Path) -> None:
    for name, shape in (("first", "grey"), ("second", "centred")):
        SHAPES[shape].folder(tmp_path, name=name, frame=(10, 10))
    code = '#include "first.h"\n#include "second.h"\n'
    code += "int main(void)\n{\n    return first_selftest() + second_selftest();\n}\n"
    printed(compiled(tmp_path, code))


def flipped(subject: Made, folder: Path) -> Path:
    """The model with the lowest bit of one weight flipped, of a pixel that is black in every golden example."""
    path = subject.folder(folder) / "made.c"
    text = path.read_text()
    start = text.index("WEIGHTS[] FLASH = {\n") + len("WEIGHTS[] FLASH = {\n")
    place = start + re.match(r"\s*", text[start:]).end()  # type: ignore[union-attr]
    number = re.match(r"-?\d+", text[place:])[0]  # type: ignore[index]
    path.write_text(text[:place] + str(int(number) ^ 1) + text[place + len(number) :])
    return folder


def test_the_self_test_notices_one_flipped_bit(tmp_path: Path) -> None:
    subject = SHAPES["grey"]
    assert subject.compiled(tmp_path / "whole").selftest() == 0
    assert CompiledModel(flipped(subject, tmp_path / "flipped")).selftest() >= 1


def test_the_self_test_notices_other_answers(tmp_path: Path) -> None:
    """Of all four examples, where a bias is another."""
    subject = SHAPES["grey"]
    path = subject.folder(tmp_path) / "made.c"
    text = path.read_text()
    found = re.search(r"BIAS\[\] FLASH = \{\s*(-?[0-9.]+)f", text)
    assert found
    path.write_text(text[: found.start(1)] + f"{float(found[1]) + 100}" + text[found.end(1) :])
    assert CompiledModel(tmp_path).selftest() == 4


FITS = [
    ImageContract(height=9, width=7),
    ImageContract(height=9, width=7, fit="crop"),
    ImageContract(height=9, width=7, fit="pad", fill=(30,)),
    ImageContract(height=8, width=12, color="RGB", fit="pad", fill=(30, 40, 50)),
    ImageContract(height=64, width=96, color="RGB", fit="crop"),
    ImageContract(height=31, width=57),
]


@pytest.mark.parametrize(
    "size",
    [(40, 30), pytest.param((30, 41), marks=pytest.mark.slow), pytest.param((57, 31), marks=pytest.mark.slow), (3, 2)],
)
@pytest.mark.parametrize("image", FITS, ids=str)
def test_frames_are_fitted_as_by_the_runtime(image: ImageContract, size: tuple[int, int], tmp_path: Path) -> None:
    subject = made(3, image)
    model = CompiledModel(subject.folder(tmp_path, frame=size))
    frames = np.random.default_rng(0).integers(0, 256, (3, size[1], size[0], 3), np.uint8)
    names = []
    for name, found, seen in model.of_frames(frames):
        converted = np.stack([image.pixels(frame) for frame in seen])
        np.testing.assert_array_equal(found, model.probabilities(converted), err_msg=name)
        names.append(name)
    assert len(names) == 4
